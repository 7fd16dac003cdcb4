"""LRU by the time of the last touch, for sets of more ways than an order word holds.

The clock counts touches and begins at 1. Empty ways have stamps below 0 that rise with the way, so the oldest stamp
is the lowest empty way, else the least recently used.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.sets import MAX_WAYS, WAYS, slot_of
from vmcfg.jit import kernel, part


@kernel
def touch(stores, built, index, way):
    """Make `way` the most recently used of its set."""
    _stamp(stores, slot_of(built, index, way))


@kernel
def replace(stores, built, index):
    """Return the victim, which becomes the most recently used."""
    way = _oldest(stores, slot_of(built, index, 0), built[WAYS])
    _stamp(stores, slot_of(built, index, way))
    return way


@kernel
def forget(stores, built, index, way):
    """Mark a way that has been emptied."""
    stores.stamp[slot_of(built, index, way)] = way - MAX_WAYS


@kernel
def clear(stores, built, index):
    """Begin with a set of empty ways."""
    for way in range(built[WAYS]):
        forget(stores, built, index, way)


@part
def _stamp(stores, slot):
    stores.clock[0] += 1
    stores.stamp[slot] = stores.clock[0]


@part
def _oldest(stores, first, ways):
    oldest = np.int64(0)
    for way in range(1, ways):
        if stores.stamp[first + way] < stores.stamp[first + oldest]:
            oldest = np.int64(way)
    return oldest
