"""`stride`: every so many bytes, and from the end on to the start. Columns of a matrix, fields of records.

Step n stands at byte n · stride mod size. Where the stride does not divide the size, each round meets other bytes;
a stride that shares no factor with the size comes to all of them before the first one again.

The product has up to 80 bits. So n, which counts modulo the size because a round of that many steps ends where it
began, is cut into n = a · 2^20 + b, and 2^20 strides modulo the size are a number of their own, the leap: both
products stay below 2^60 for regions of up to 1 TiB.
"""

from __future__ import annotations

from vmcfg.jit import kernel

PAGE_SHIFT = 12
LEAP_SHIFT = 20  # 2^20 strides make a leap; a position has at most 40 bits


def leap_of(stride_bytes: int, size_bytes: int) -> int:
    """Return how far 2^20 strides lead in a region of that size."""
    return (stride_bytes << LEAP_SHIFT) % size_bytes


@kernel
def rank(m, drawn, key, touch, nth):
    """Return the page of the nth step."""
    return position(drawn, nth) >> PAGE_SHIFT


@kernel
def position(drawn, nth):
    """Return the byte of the nth step."""
    size = drawn.pages << PAGE_SHIFT
    steps = nth % size
    leaps = (steps >> LEAP_SHIFT) * drawn.leap_bytes
    return (leaps + (steps & ((1 << LEAP_SHIFT) - 1)) * drawn.stride_bytes) % size


@kernel
def following(drawn, position):
    """Return the byte of the step after."""
    size = drawn.pages << PAGE_SHIFT
    position += drawn.stride_bytes
    return position - size if position >= size else position
