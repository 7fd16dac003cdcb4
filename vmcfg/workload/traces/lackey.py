"""Memory traces as text, as valgrind prints them: `valgrind --tool=lackey --trace-mem=yes`.

    I  04009103,8        fetch of 8 bytes (two blanks)
     L 1fff000668,8      load
     S 1fff000660,8      store
     M 0421c7b4,4        modify: a load, then a store

Addresses are hexadecimal, sizes decimal. Lines that start with `==` are comments; blank lines may stand anywhere.
An access that crosses a page boundary is one access to each page, low page first.

A trace has millions of lines of some 14 bytes, so a kernel reads them byte by byte. It trusts two things: the text
ends with a line end, and the arrays have room for one line more (it returns in between when they do not).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.jit import entry, kernel
from vmcfg.workload.traces.digits import END, number, past_line
from vmcfg.workload.traces.source import Source, shown

BATCH = 1 << 17  # accesses taken from the kernel at a time
PAGE_SHIFT = 12
ADDRESS_END = 1 << 57
MAX_SIZE = 1 << 16  # bytes of one access; the largest instruction saves a few KiB of state
MOST_ACCESSES = 2 * (MAX_SIZE // 4096 + 1)  # of one line

FETCH, LOAD, STORE, MODIFY, OTHER = 0, 1, 2, 3, -1
BLANK, COMMA, EQUALS, CR = ord(" "), ord(","), ord("="), ord("\r")
LETTER_I, LETTER_L, LETTER_S, LETTER_M = ord("I"), ord("L"), ord("S"), ord("M")

FINE, NO_LINE, NO_ADDRESS, NO_SIZE, TOO_HIGH = range(5)
FAULT_TO_EXPECTED = {
    NO_LINE: "'I  addr,size', ' L addr,size', ' S addr,size', ' M addr,size' or '== comment'",
    NO_ADDRESS: "a hexadecimal address and a comma",
    NO_SIZE: f"a decimal size from 1 to {MAX_SIZE} and the line's end",
    TOO_HIGH: "an access below address 2^57",
}


def accesses(source: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pages int64, kinds uint8) of the lines in order."""
    pages, kinds = np.empty(BATCH, np.int64), np.empty(BATCH, np.uint8)
    lines = 0
    for block in source.lines():
        text, at = np.frombuffer(block, np.uint8), 0
        while at < len(text):
            at, count, more, fault = parse(text, at, pages, kinds)
            lines += more
            if fault:
                line = block[at : block.index(b"\n", at)]
                raise source.fault(f"line {lines + 1}", shown(line), FAULT_TO_EXPECTED[fault])
            yield pages[:count], kinds[:count]


@entry
def parse(text, at, pages, kinds):
    """Parse lines of `text` from `at` on; return (start of the next line, accesses, lines, fault)."""
    count = 0
    lines = 0
    while at < len(text) and count + MOST_ACCESSES <= len(pages):
        if _is_empty(text, at) or (text[at] == EQUALS and text[at + 1] == EQUALS):
            at = past_line(text, at)
            lines += 1
            continue
        kind = _letter(text, at)
        if kind == OTHER:
            return at, count, lines, NO_LINE
        address, comma = number(text, at + 3, 16)
        if comma == at + 3 or text[comma] != COMMA:
            return at, count, lines, NO_ADDRESS
        size, end = number(text, comma + 1, 10)
        if end == comma + 1 or size < 1 or size > MAX_SIZE or not _is_empty(text, end):
            return at, count, lines, NO_SIZE
        if address + size > ADDRESS_END:
            return at, count, lines, TOO_HIGH
        count = _emit(kind, address >> PAGE_SHIFT, (address + size - 1) >> PAGE_SHIFT, pages, kinds, count)
        at = past_line(text, end)
        lines += 1
    return at, count, lines, FINE


@kernel
def _is_empty(text, at):
    return text[at] == END or (text[at] == CR and text[at + 1] == END)


@kernel
def _letter(text, at):
    if text[at] == LETTER_I and text[at + 1] == BLANK and text[at + 2] == BLANK:
        return FETCH
    if text[at] != BLANK or text[at + 1] == END or text[at + 2] != BLANK:
        return OTHER
    letter = text[at + 1]
    if letter == LETTER_L:
        return LOAD
    if letter == LETTER_S:
        return STORE
    return MODIFY if letter == LETTER_M else OTHER


@kernel
def _emit(kind, low, high, pages, kinds, count):
    first = LOAD if kind == MODIFY else kind
    last = STORE if kind == MODIFY else kind
    for each in range(first, last + 1):
        for page in range(low, high + 1):
            pages[count] = page
            kinds[count] = each
            count += 1
    return count
