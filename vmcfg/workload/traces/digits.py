"""Reading numbers out of text in kernels. The text ends with a line end, so no reader runs past it."""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel

END = ord("\n")
ENOUGH = 1 << 58  # beyond every legal value; times 16 still fits into 63 bits
ZERO, LETTER_A, LOWER = ord("0"), ord("a"), 0x20


@kernel
def number(text, at, base):
    """Return (value, place after it) of the digits at `at` in `base` (10 or 16); no digits leave the place as it is.

    Values from 2^58 on are not exact any more, and stay at least 2^58.
    """
    value = 0
    digit = _digit(text[at], base)
    while digit >= 0:
        if value < ENOUGH:
            value = value * base + digit
        at += 1
        digit = _digit(text[at], base)
    return value, at


@kernel
def past_line(text, at):
    """Return the start of the line after the one around `at`."""
    while text[at] != END:
        at += 1
    return at + 1


@kernel
def _digit(byte, base):
    decimal = np.int64(byte) - ZERO
    if 0 <= decimal <= 9:
        return decimal
    letter = (np.int64(byte) | LOWER) - LETTER_A
    if base == 16 and 0 <= letter <= 5:
        return letter + 10
    return -1
