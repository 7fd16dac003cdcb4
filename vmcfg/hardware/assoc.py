"""Set-associative stores of tags: TLBs, page-walk caches and the nested TLB are all one mechanism.

All stores of a host lie in the same flat arrays; `shape[cache]` says where one begins and how it is built.

    tags     i64[slot]   what is held: a tag, EMPTY, or PADDING that can never match
    payload  i64[slot]   what it leads to: a frame, or the index of the next table
    stamp    i64[slot]   time of the last touch (only stores of more than 16 ways)
    order    i64[set]    the ways from most to least recently used, four bits each (up to 16 ways)
    dirty    i64[set]    one bit per way: the entry was filled from a dirty leaf
    shape    i64[cache, field]
    clock    i64[1]      touches of stores of more than 16 ways

All ways of a set are compared at once, so a set has room for 4, 16 or 64 ways (SHIFT says which). Recency is
kept in one word per set because that makes a touch O(1) and the victim one shift; sixteen ways of four bits
fill the word, and wider stores fall back on time stamps. Empty ways stand at the old end of the order, the lowest last: the
victim's rule "empty ways first, lowest first, else the least recently used" then needs no test.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.jit import kernel, lowest_bit, match4, match16, part

EMPTY = 0
PADDING = -1
NIBBLE_WAYS = 16  # ways that fit into one order word
MAX_WAYS = 64  # one dirty bit each
NARROW, MIDDLE, WIDE = 2, 4, 6  # SHIFT: room for 4, 16, 64 ways in a set

# Fields of shape[cache].
SLOT_BASE, FIRST_SET, SETS, MASK, WAYS, SHIFT = range(6)
SHAPE_FIELDS = 6  # MASK is SETS - 1 for powers of two, else -1; way w of set s is slot SLOT_BASE + (s << SHIFT) + w

# Tags: bit 0 valid, 45 bits of key, then the address space.
KEY_SHIFT = 1
SPACE_SHIFT = 46
MAX_SPACES = 1 << 16

_NOT_NEGATIVE = (1 << 62) - 1
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
    clock: np.ndarray


@kernel
def tag_of(space, key):
    """Return the tag under which `key` (a page number or a part of one) of an address space is held."""
    return (space << SPACE_SHIFT) | (key << KEY_SHIFT) | 1


@kernel
def geometry(stores, cache, is_lean):
    """Return how a store is built, to be kept in registers: its fields of `shape`, in their order.

    With `is_lean`, a constant, the caller vouches that sets are a power of two and ways at most sixteen. Said in
    terms of the values, this lets the compiler leave out all that is only there for the others.
    """
    shape = stores.shape
    mask, ways, shift = shape[cache, MASK], shape[cache, WAYS], shape[cache, SHIFT]
    if is_lean:
        mask &= _NOT_NEGATIVE
        ways = min(ways, NIBBLE_WAYS)
        shift = NARROW if shift == NARROW else MIDDLE
    return shape[cache, SLOT_BASE], shape[cache, FIRST_SET], shape[cache, SETS], mask, ways, shift


@kernel
def set_of(built, key):
    """Return the set, among all sets of all stores, in which `key` may be held."""
    mask = built[MASK]
    if mask >= 0:
        return built[FIRST_SET] + (key & mask)
    return built[FIRST_SET] + _remainder(key, built[SETS])


@kernel
def slot_of(built, index, way):
    """Return the slot of a way of set `index`."""
    return built[SLOT_BASE] + (index << built[SHIFT]) + way


@kernel
def find(stores, built, index, tag):
    """Return the way of set `index` that holds `tag`, or -1."""
    first = slot_of(built, index, 0)
    if built[SHIFT] == NARROW:
        found = match4(stores.tags, first, tag)
    elif built[SHIFT] == MIDDLE:
        found = match16(stores.tags, first, tag)
    else:
        found = _match64(stores, first, tag)
    if found:
        return lowest_bit(found)
    return np.int64(-1)


@kernel
def touch(stores, built, index, way):
    """Make `way` the most recently used of its set."""
    if built[WAYS] <= NIBBLE_WAYS:
        stores.order[index] = _to_front(stores.order[index], way)
    else:
        _stamp(stores, slot_of(built, index, way))


@kernel
def fill(stores, built, index, tag, payload, dirty):
    """Put `tag` into set `index` in place of the victim, and make it the most recently used."""
    ways = built[WAYS]
    if ways <= NIBBLE_WAYS:
        order = stores.order[index]
        way = (order >> (4 * (ways - 1))) & 15
        stores.order[index] = (order << 4) | way  # the victim leaves the old end; nibbles beyond it do not count
    else:
        way = _oldest_stamp(stores, slot_of(built, index, 0), ways)
        _stamp(stores, slot_of(built, index, way))
    slot = slot_of(built, index, way)
    stores.tags[slot] = tag
    stores.payload[slot] = payload
    stores.dirty[index] = (stores.dirty[index] & ~(np.int64(1) << way)) | (np.int64(dirty) << way)


@kernel
def is_dirty(stores, index, way):
    """Return 1 if the entry was filled from a dirty leaf or has been written through since, else 0."""
    return (stores.dirty[index] >> way) & 1


@kernel
def set_dirty(stores, index, way):
    """Set the entry's D bit; recency does not change."""
    stores.dirty[index] |= np.int64(1) << way


@kernel
def drop(stores, cache, key, tag):
    """Empty the way that holds `tag`, if any."""
    built = geometry(stores, cache, False)
    if built[SETS] == 0:
        return
    index = set_of(built, key)
    way = find(stores, built, index, tag)
    if way >= 0:
        stores.tags[slot_of(built, index, way)] = EMPTY
        _to_old_end(stores, built, index, way)


@kernel
def flush(stores, cache):
    """Empty the whole store."""
    built = geometry(stores, cache, False)
    for index in range(built[FIRST_SET], built[FIRST_SET] + built[SETS]):
        _empty_set(stores, built, index)


@kernel
def flush_space(stores, cache, space):
    """Empty every way that holds a tag of one address space."""
    built = geometry(stores, cache, False)
    for index in range(built[FIRST_SET], built[FIRST_SET] + built[SETS]):
        for way in range(built[WAYS]):
            tag = stores.tags[slot_of(built, index, way)]
            if tag != EMPTY and tag >> SPACE_SHIFT == space:
                stores.tags[slot_of(built, index, way)] = EMPTY
                _to_old_end(stores, built, index, way)


@kernel
def _to_front(order, way):
    """Move the nibble that holds `way` to the low end: find it as the lowest zero nibble of a difference."""
    difference = order ^ (way * _ONES)
    zero = (difference - _ONES) & ~difference & _TOPS
    newer = (np.int64(1) << (lowest_bit(zero) - 3)) - 1  # mask of the nibbles before it
    return ((order & newer) << 4) | way | (order & ~((newer << 4) | 15))


@part
def _remainder(key, sets):
    """Return key mod sets, for stores whose sets are no power of two; kept out of the way of those that are."""
    return key % sets


@part
def _match64(stores, first, tag):
    """Return a mask of 64 bits: which of tags[first : first + 64] equal `tag`."""
    found = np.int64(0)
    for way in range(0, MAX_WAYS, 16):
        found |= match16(stores.tags, first + way, tag) << way
    return found


@part
def _stamp(stores, slot):
    stores.clock[0] += 1
    stores.stamp[slot] = stores.clock[0]


@part
def _oldest_stamp(stores, first, ways):
    oldest = np.int64(0)
    for way in range(1, ways):
        if stores.stamp[first + way] < stores.stamp[first + oldest]:
            oldest = np.int64(way)
    return oldest


@kernel
def _to_old_end(stores, built, index, way):
    """Place an emptied way among the empty ones at the old end, lowest last."""
    ways = built[WAYS]
    if ways > NIBBLE_WAYS:
        stores.stamp[slot_of(built, index, way)] = way - MAX_WAYS
        return
    order = _to_front(stores.order[index], way) >> 4  # now without it: ways - 1 nibbles count
    place = ways - 1
    while place > 0:
        older = (order >> (4 * (place - 1))) & 15
        if older > way or stores.tags[slot_of(built, index, older)] != EMPTY:
            break
        place -= 1
    newer = (np.int64(1) << (4 * place)) - 1
    stores.order[index] = (order & newer) | (way << (4 * place)) | ((order & ~newer) << 4)


@kernel
def _empty_set(stores, built, index):
    first = slot_of(built, index, 0)
    order = np.int64(0)
    for way in range(built[WAYS]):
        stores.tags[first + way] = EMPTY
        stores.stamp[first + way] = way - MAX_WAYS
        order |= (np.int64(way) & 15) << (4 * ((built[WAYS] - 1 - way) & 15))
    stores.order[index] = order
    stores.dirty[index] = 0
