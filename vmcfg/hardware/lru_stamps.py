"""LRU by the time of the last touch, for sets of more ways than an order word holds.

The clock counts touches and begins at 1. Empty ways have stamps below 0 that rise with the way, so the oldest stamp
is the lowest empty way, else the least recently used.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.sets import ORDER_WORDS, ROOM, WAYS, WIDE
from vmcfg.jit import kernel, part


@kernel
def touch(stores, built, index, way):
    """Make `way` the most recently used of its set."""
    _stamp(stores, _stamps(built, index) + way)


@kernel
def replace(stores, built, index):
    """Return the victim, which becomes the most recently used."""
    first = _stamps(built, index)
    way = _oldest(stores, first, built[WAYS])
    _stamp(stores, first + way)
    return way


@kernel
def forget(stores, built, index, way):
    """Mark a way that has been emptied."""
    stores.words[_stamps(built, index) + way] = way - WIDE


@kernel
def clear(stores, built, index):
    """Begin with a set of empty ways."""
    for way in range(built[WAYS]):
        forget(stores, built, index, way)


@kernel
def _stamps(built, index):
    """Return where the stamps of set `index` begin."""
    return index + 2 * built[ROOM] + ORDER_WORDS


@part
def _stamp(stores, place):
    stores.clock[0] += 1
    stores.words[place] = stores.clock[0]


@part
def _oldest(stores, first, ways):
    oldest = np.int64(0)
    for way in range(1, ways):
        if stores.words[first + way] < stores.words[first + oldest]:
            oldest = np.int64(way)
    return oldest
