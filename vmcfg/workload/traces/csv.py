"""Page lists as comma-separated text: a header line that names the columns, then one access per line.

    time,page,rw
    0.01,0x7f001,r
    0.02,524289,w

`page` is a page number, decimal or hexadecimal after `0x`; `rw` is r (a load), w (a store) or f (a fetch), and without
that column all are loads. Other columns may stand beside them and are passed over. A list with a column `vm` is the
trace of several machines, and is refused: what happened in which order within each would be lost.

The lines are read by a kernel, like lackey's; fields are taken as they are, without quotes or blanks.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.jit import entry, kernel
from vmcfg.workload.traces.digits import END, number, past_line
from vmcfg.workload.traces.source import VPN_BITS, Source, shown

BATCH = 1 << 17  # accesses taken from the kernel at a time
PAGE_END = 1 << VPN_BITS
NO_COLUMN = -1

FETCH, LOAD, STORE, OTHER = 0, 1, 2, -1
COMMA, CR, ZERO, LETTER_X = ord(","), ord("\r"), ord("0"), ord("x")
LETTER_R, LETTER_W, LETTER_F = ord("r"), ord("w"), ord("f")

FINE, NO_FIELDS, NO_PAGE, TOO_HIGH, NO_KIND = range(5)
FAULT_TO_EXPECTED = {
    NO_FIELDS: "as many fields as the header has columns",
    NO_PAGE: "a page number, decimal or hexadecimal after 0x",
    TOO_HIGH: f"a page below 2^{VPN_BITS}",
    NO_KIND: "r, w or f in the column rw",
}


def accesses(source: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pages int64, kinds uint8) of the lines in order."""
    pages, kinds = np.empty(BATCH, np.int64), np.empty(BATCH, np.uint8)
    lines, columns = 0, None
    for block in source.lines():
        text, at = np.frombuffer(block, np.uint8), 0
        if columns is None:
            at = block.index(b"\n") + 1
            lines, columns = 1, _columns(block[: at - 1], source)
        while at < len(text):
            at, count, fault = parse(text, at, *columns, pages, kinds)
            lines += count
            if fault:
                line = block[at : block.index(b"\n", at)]
                raise source.fault(f"line {lines + 1}", shown(line), FAULT_TO_EXPECTED[fault])
            yield pages[:count], kinds[:count]


@entry
def parse(text, at, columns, page_column, kind_column, pages, kinds):
    """Parse lines of `text` from `at` on; return (start of the next line, accesses, fault)."""
    count = 0
    while at < len(text) and count < len(pages):
        field = at
        page, kind = -1, LOAD
        for column in range(columns):
            end = _past_field(text, field)
            if (column + 1 < columns) != (text[end] == COMMA):
                return at, count, NO_FIELDS
            if column == page_column:
                page = _page(text, field, end)
            if column == kind_column:
                kind = _kind(text, field, end)
            field = end + 1
        if page < 0:
            return at, count, NO_PAGE
        if page >= PAGE_END:
            return at, count, TOO_HIGH
        if kind == OTHER:
            return at, count, NO_KIND
        pages[count] = page
        kinds[count] = kind
        count += 1
        at = past_line(text, field - 1)
    return at, count, FINE


def _columns(header: bytes, source: Source) -> tuple[int, int, int]:
    """Return (columns, column of the page, column of the kind or NO_COLUMN)."""
    names = header.decode("utf-8-sig", "replace").rstrip("\r").split(",")
    if names.count("page") != 1 or names.count("rw") > 1:
        raise source.fault("line 1", shown(header), "a header with one column page, and at most one column rw")
    if "vm" in names:
        raise source.fault("line 1", "a column vm", "the accesses of one machine: one file for each")
    return len(names), names.index("page"), names.index("rw") if "rw" in names else NO_COLUMN


@kernel
def _past_field(text, at):
    while text[at] != COMMA and text[at] != END and not (text[at] == CR and text[at + 1] == END):
        at += 1
    return at


@kernel
def _page(text, at, end):
    """Return the page number in text[at : end], -1 if there is none."""
    base = 10
    if text[at] == ZERO and text[at + 1] == LETTER_X:
        base = 16
        at += 2
    page, past = number(text, at, base)
    return page if past == end and past > at else -1


@kernel
def _kind(text, at, end):
    letter = text[at]
    if end != at + 1:
        return OTHER
    if letter == LETTER_R:
        return LOAD
    if letter == LETTER_W:
        return STORE
    return FETCH if letter == LETTER_F else OTHER
