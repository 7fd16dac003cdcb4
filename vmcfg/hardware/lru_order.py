"""LRU in one word per set: the ways from most to least recently used, four bits each.

A touch is then O(1) and the victim one shift; sixteen ways fill the word. Empty ways stand at the old end of the
order, the lowest last: the rule "empty ways first, lowest first, else the least recently used" needs no test.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.sets import OLDEST, WAYS, empty_in, order_of
from vmcfg.jit import count_bits, kernel

MOST_WAYS = 16
BITS = 4  # of a way's number

_LOWEST_LAST = np.int64(0x0123456789ABCDEF)  # of sixteen ways; of fewer the end of it
_ONES = np.int64(0x1111111111111111)
_TOPS = np.int64(-0x7777777777777778)  # 0x8888888888888888


@kernel
def touch(stores, built, index, way):
    """Make `way` the most recently used of its set."""
    place = order_of(built, index)
    stores.words[place] = _to_front(stores.words[place], way)


@kernel
def replace(stores, built, index):
    """Return the victim, which becomes the most recently used: nibbles beyond the old end do not count."""
    place = order_of(built, index)
    order = stores.words[place]
    way = (order >> built[OLDEST]) & 15
    stores.words[place] = (order << 4) | way
    return way


@kernel
def forget(stores, built, index, way):
    """Place a way that has been emptied among the empty ones at the old end, lowest last."""
    without = _to_front(stores.words[order_of(built, index)], way) >> BITS
    put_last(stores, built, index, way, without, BITS)


@kernel
def clear(stores, built, index):
    """Begin with a set of empty ways."""
    stores.words[order_of(built, index)] = _LOWEST_LAST >> (BITS * (MOST_WAYS - 1) - built[OLDEST])


@kernel
def put_last(stores, built, index, way, without, bits):
    """Put an emptied way into an order of all the others, `bits` for each: behind them, but for lower empty ways."""
    lower = empty_in(stores, built, index) & ((np.int64(1) << way) - 1)
    place = built[WAYS] - 1 - count_bits(lower)
    newer = (np.int64(1) << (bits * place)) - 1
    stores.words[order_of(built, index)] = (
        (without & newer) | (way << (bits * place)) | ((without & ~newer) << bits)
    )


@kernel
def _to_front(order, way):
    """Move the nibble that holds `way` to the low end: find it as the lowest zero nibble of a difference."""
    difference = order ^ (way * _ONES)
    zero = (difference - _ONES) & ~difference & _TOPS
    upto = zero ^ (zero - 1)  # mask of the nibbles up to it, and with it
    return ((order & (upto >> 4)) << 4) | way | (order & ~upto)
