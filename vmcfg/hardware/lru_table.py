"""LRU of up to four ways, by table: the ways from most to least recently used, two bits each, fit into a byte.

So what any touch makes of any order is a table of 256 × 4 bytes, and a touch is a load in place of some twenty
instructions. Walk caches have so few ways, and each walk probes several. All else is as in `hardware.lru_order`.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware import lru_order
from vmcfg.hardware.sets import OLDEST, order_of
from vmcfg.jit import kernel

MOST_WAYS = 4
BITS = 2  # of a way's number

_LOWEST_LAST = np.int64(0b00_01_10_11)  # of four ways; of fewer the end of it


@kernel
def touch(stores, built, index, way):
    """Make `way` the most recently used of its set."""
    place = order_of(built, index)
    stores.words[place] = _to_front(stores.words[place], way)


@kernel
def replace(stores, built, index):
    """Return the victim, which becomes the most recently used: what is beyond the old end does not count."""
    place = order_of(built, index)
    order = stores.words[place]
    way = (order >> built[OLDEST]) & 3
    stores.words[place] = ((order << BITS) | way) & 255
    return way


@kernel
def forget(stores, built, index, way):
    """Place a way that has been emptied among the empty ones at the old end, lowest last."""
    without = _to_front(stores.words[order_of(built, index)], way) >> BITS
    lru_order.put_last(stores, built, index, way, without, BITS)


@kernel
def clear(stores, built, index):
    """Begin with a set of empty ways."""
    stores.words[order_of(built, index)] = _LOWEST_LAST >> (BITS * (MOST_WAYS - 1) - built[OLDEST])


@kernel
def _to_front(order, way):
    return np.int64(_MOVED_TO_FRONT[((order << BITS) | way) & 1023])  # the mask tells that it is in range


def _moved_to_front(order: int, way: int) -> int:
    """Return what a touch of `way` makes of an order; a way that is not in it takes the place of the last."""
    ways = [(order >> (BITS * place)) & 3 for place in range(MOST_WAYS)]
    ways.remove(way) if way in ways else ways.pop()
    return sum(number << (BITS * place) for place, number in enumerate([way, *ways]))


_MOVED_TO_FRONT = np.array([_moved_to_front(order, way) for order in range(256) for way in range(4)], np.uint8)
