"""Set-associative stores of tags: TLBs, page-walk caches and the nested TLB are all one mechanism.

All stores of a host lie in the same flat arrays; `shape[cache]` says where one begins and how it is built.

    tags     i64[slot]   what is held: a tag, EMPTY, or PADDING that can never match
    payload  i64[slot]   what it leads to: a frame, or the index of the next table
    stamp    i64[slot]   time of the last touch (only stores of more than 16 ways)
    order    i64[set]    the ways from most to least recently used, four bits each (up to 16 ways)
    dirty    i64[set]    one bit per way: the entry was filled from a dirty leaf
    shape    i64[cache, field]

Ways are compared four at a time, so a set's stride is its ways rounded up to four. Recency is kept in one
word per set because that makes a touch O(1) and the victim one shift; sixteen ways of four bits fill the word,
and wider stores fall back on time stamps. Empty ways stand at the old end of the order, the lowest last: the
victim's rule "empty ways first, lowest first, else the least recently used" then needs no test.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.jit import LANES, kernel, lowest_bit, match4

EMPTY = 0
PADDING = -1
NIBBLE_WAYS = 16  # ways that fit into one order word
MAX_WAYS = 64  # one dirty bit each

# Fields of shape[cache].
FIRST_SLOT, FIRST_SET, SETS, MASK, WAYS, STRIDE, CLOCK = range(7)
SHAPE_FIELDS = 7  # MASK is SETS - 1 for powers of two, else -1; CLOCK counts touches

# Tags: bit 0 valid, 45 bits of key, then the address space.
KEY_SHIFT = 1
SPACE_SHIFT = 46
MAX_SPACES = 1 << 16

_ONES = np.int64(0x1111111111111111)
_TOPS = np.int64(-0x7777777777777778)  # 0x8888888888888888


class Stores(NamedTuple):
    """The arrays described above."""

    tags: np.ndarray
    payload: np.ndarray
    stamp: np.ndarray
    order: np.ndarray
    dirty: np.ndarray
    shape: np.ndarray


@kernel
def tag_of(space, key):
    """Return the tag under which `key` (a page number or a part of one) of an address space is held."""
    return (space << SPACE_SHIFT) | (key << KEY_SHIFT) | 1


@kernel
def set_of(stores, cache, key):
    """Return the set, within the store, in which `key` may be held."""
    mask = stores.shape[cache, MASK]
    if mask >= 0:
        return key & mask
    return key % stores.shape[cache, SETS]


@kernel
def find(stores, cache, index, tag):
    """Return the way of set `index` that holds `tag`, or -1."""
    first = stores.shape[cache, FIRST_SLOT] + index * stores.shape[cache, STRIDE]
    for way in range(0, stores.shape[cache, STRIDE], LANES):
        found = match4(stores.tags, first + way, tag)
        if found:
            return way + lowest_bit(found)
    return -1


@kernel
def slot_of(stores, cache, index, way):
    """Return the slot of a way of set `index`."""
    return stores.shape[cache, FIRST_SLOT] + index * stores.shape[cache, STRIDE] + way


@kernel
def touch(stores, cache, index, way):
    """Make `way` the most recently used of its set."""
    if stores.shape[cache, WAYS] <= NIBBLE_WAYS:
        where = stores.shape[cache, FIRST_SET] + index
        stores.order[where] = _to_front(stores.order[where], np.int64(way))
    else:
        stores.shape[cache, CLOCK] += 1
        stores.stamp[slot_of(stores, cache, index, way)] = stores.shape[cache, CLOCK]


@kernel
def fill(stores, cache, index, tag, payload, dirty):
    """Put `tag` into set `index` in place of the victim, and make it the most recently used."""
    way = _victim(stores, cache, index)
    slot = slot_of(stores, cache, index, way)
    stores.tags[slot] = tag
    stores.payload[slot] = payload
    where = stores.shape[cache, FIRST_SET] + index
    stores.dirty[where] = (stores.dirty[where] & ~(np.int64(1) << way)) | (np.int64(dirty) << way)
    touch(stores, cache, index, way)


@kernel
def is_dirty(stores, cache, index, way):
    """Tell whether the entry was filled from a dirty leaf, or has been written through since."""
    return (stores.dirty[stores.shape[cache, FIRST_SET] + index] >> way) & 1


@kernel
def set_dirty(stores, cache, index, way):
    """Set the entry's D bit; recency does not change."""
    stores.dirty[stores.shape[cache, FIRST_SET] + index] |= np.int64(1) << way


@kernel
def drop(stores, cache, key, tag):
    """Empty the way that holds `tag`, if any."""
    if stores.shape[cache, SETS] == 0:
        return
    index = set_of(stores, cache, key)
    way = find(stores, cache, index, tag)
    if way >= 0:
        stores.tags[slot_of(stores, cache, index, way)] = EMPTY
        _to_old_end(stores, cache, index, way)


@kernel
def flush(stores, cache):
    """Empty the whole store."""
    for index in range(stores.shape[cache, SETS]):
        _empty_set(stores, cache, index)


@kernel
def flush_space(stores, cache, space):
    """Empty every way that holds a tag of one address space."""
    for index in range(stores.shape[cache, SETS]):
        for way in range(stores.shape[cache, WAYS]):
            slot = slot_of(stores, cache, index, way)
            if stores.tags[slot] != EMPTY and stores.tags[slot] >> SPACE_SHIFT == space:
                stores.tags[slot] = EMPTY
                _to_old_end(stores, cache, index, way)


@kernel
def _to_front(order, way):
    """Move the nibble that holds `way` to the low end: find it as the lowest zero nibble of a difference."""
    difference = order ^ (way * _ONES)
    zero = (difference - _ONES) & ~difference & _TOPS
    newer = (np.int64(1) << (lowest_bit(zero) - 3)) - 1  # mask of the nibbles before it
    return ((order & newer) << 4) | way | (order & ~((newer << 4) | 15))


@kernel
def _victim(stores, cache, index):
    ways = stores.shape[cache, WAYS]
    if ways <= NIBBLE_WAYS:
        return (stores.order[stores.shape[cache, FIRST_SET] + index] >> (4 * (ways - 1))) & 15
    return _oldest_stamp(stores, cache, index, ways)


@kernel
def _oldest_stamp(stores, cache, index, ways):
    first = slot_of(stores, cache, index, 0)
    oldest = 0
    for way in range(1, ways):
        if stores.stamp[first + way] < stores.stamp[first + oldest]:
            oldest = way
    return oldest


@kernel
def _to_old_end(stores, cache, index, way):
    """Place an emptied way among the empty ones at the old end, lowest last."""
    ways = stores.shape[cache, WAYS]
    if ways > NIBBLE_WAYS:
        stores.stamp[slot_of(stores, cache, index, way)] = way - MAX_WAYS
        return
    where = stores.shape[cache, FIRST_SET] + index
    order = _to_front(stores.order[where], np.int64(way)) >> 4  # now without it: ways - 1 nibbles count
    place = ways - 1
    while place > 0:
        older = (order >> (4 * (place - 1))) & 15
        if older > way or stores.tags[slot_of(stores, cache, index, older)] != EMPTY:
            break
        place -= 1
    newer = (np.int64(1) << (4 * place)) - 1
    stores.order[where] = (order & newer) | (np.int64(way) << (4 * place)) | ((order & ~newer) << 4)


@kernel
def _empty_set(stores, cache, index):
    ways = stores.shape[cache, WAYS]
    where = stores.shape[cache, FIRST_SET] + index
    first = slot_of(stores, cache, index, 0)
    order = np.int64(0)
    for way in range(ways):
        stores.tags[first + way] = EMPTY
        stores.stamp[first + way] = way - MAX_WAYS
        order = (order << 4) | (way & 15) if ways > NIBBLE_WAYS else order | (np.int64(way) << (4 * (ways - 1 - way)))
    stores.order[where] = order
    stores.dirty[where] = 0
