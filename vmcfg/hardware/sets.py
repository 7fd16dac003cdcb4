"""Sets of tags: where the ways of every set-associative store lie, and how a tag is found among them.

All stores of a host lie in one array of words; `shape[cache]` says where one begins and how it is built. A set is a
record of words, and everywhere a set is named by the index of its first word:

    tags[room] · entries[room] · order · (7 words to the next cache line) · stamps[room], where ways may be many

    tag      what is held: a tag, EMPTY, or PADDING that can never match
    entry    what it leads to (a frame, or the index of the next table), above one bit D: filled from a dirty leaf
    order    a replacement policy's word for the set
    stamp    a replacement policy's word for the way

All ways of a set are compared at once, so a set has room for 4, 8, 16 or 64 ways.

Which set a key is in, its low bits say, alone or folded: exclusive-or of them and as many above. Strides by a power of
two then fall into many sets; Intel's second-level TLBs are built so from Broadwell on (Gras et al., USENIX Security
2018).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.jit import kernel, lowest_bit, match4, match8, match16, part

EMPTY = 0
PADDING = -1
SLIM, NARROW, MIDDLE, WIDE = 4, 8, 16, 64  # ways that a set has room for
ORDER_WORDS = 8

# Replacement policies, as the kernels know them: a file each.
LRU_ORDER, LRU_STAMPS, TREE_PLRU, LRU_TABLE = range(4)

# Fields of shape[cache]. MASK is SETS - 1 for powers of two, else -1; OLDEST is where the last of WAYS lies in an
# order; FOLD is by how many bits a key is folded, or 0.
BASE, SETS, MASK, WAYS, OLDEST, ROOM, POLICY, FOLD = range(8)
SHAPE_FIELDS = 8

# Tags: bit 0 valid, 45 bits of key, 16 of the address space, then whether the page is a large one.
KEY_SHIFT = 1
SPACE_SHIFT = 46
MAX_SPACES = 1 << 16
LARGE_BIT = 1 << 62
GIB_BIT = 1 << 44  # of a large page's key, which is far shorter

_NOT_NEGATIVE = (1 << 62) - 1


class Stores(NamedTuple):
    """All translation caches of a host.

    words  i64[words]         the sets, as described above
    shape  i64[cache, field]
    clock  i64[1]             a replacement policy's count of touches
    """

    words: np.ndarray
    shape: np.ndarray
    clock: np.ndarray


def room_for(ways: int) -> int:
    """Return the room that a set of so many ways gets."""
    return next(room for room in (SLIM, NARROW, MIDDLE, WIDE) if ways <= room)


def words_of(room: int) -> int:
    """Return the words of a set's record."""
    return 2 * room + ORDER_WORDS + (room if room == WIDE else 0)


def shape_of(base: int, sets: int, ways: int, room: int, policy: int, is_folded: bool) -> tuple[int, ...]:
    """Return the row of `shape` for a store whose first set begins at `base`; one that folds has 2^n sets."""
    mask = sets - 1 if sets & (sets - 1) == 0 else -1
    assert mask >= 0 or not is_folded
    bits = 2 if policy == LRU_TABLE else 4  # of a way's number in an order
    return base, sets, mask, ways, bits * (ways - 1), room, policy, (sets.bit_length() - 1) * is_folded


@kernel
def tag_of(space, key):
    """Return the tag under which `key` (a page number or a part of one) of an address space is held."""
    return (space << SPACE_SHIFT) | (key << KEY_SHIFT) | 1


@kernel
def large_tag(space, key, level):
    """Return the tag of a page of 2 MiB (level 2) or 1 GiB (level 3), whose key is in units of its size."""
    return tag_of(space, key | (np.int64(level == 3) * GIB_BIT)) | LARGE_BIT


@kernel
def space_of(tag):
    """Return the address space of a tag."""
    return (tag >> SPACE_SHIFT) & (MAX_SPACES - 1)


@kernel
def page_of_tag(tag):
    """Return (first page, level of its size) of a TLB entry's tag."""
    key = (tag >> KEY_SHIFT) & ((1 << (SPACE_SHIFT - KEY_SHIFT)) - 1)
    if tag & LARGE_BIT == 0:
        return key, 1
    if key & GIB_BIT:
        return (key ^ GIB_BIT) << 18, 3
    return key << 9, 2


@kernel
def geometry(stores, cache, is_lean, lean_room):
    """Return how a store is built, to be kept in registers: its fields of `shape`, in their order.

    With `is_lean`, a constant, the caller vouches that sets are a power of two, that they have room for just
    `lean_room` ways (SLIM, NARROW or MIDDLE), that the policy is LRU and no key folded. Said in terms of the values,
    this lets the compiler leave out all that is only there for the others.
    """
    shape = stores.shape
    mask, room, policy, fold = shape[cache, MASK], shape[cache, ROOM], shape[cache, POLICY], shape[cache, FOLD]
    if is_lean:
        mask &= _NOT_NEGATIVE
        room = np.int64(lean_room)
        policy = np.int64(LRU_TABLE if lean_room == SLIM else LRU_ORDER)
        fold = np.int64(0)
    return shape[cache, BASE], shape[cache, SETS], mask, shape[cache, WAYS], shape[cache, OLDEST], room, policy, fold


@kernel
def set_of(built, key):
    """Return the set in which `key` may be held."""
    if built[FOLD]:
        key ^= key >> built[FOLD]
    if built[MASK] >= 0:
        return nth_set(built, key & built[MASK])
    return nth_set(built, _remainder(key, built[SETS]))


@kernel
def nth_set(built, number):
    """Return a store's set by its number."""
    if built[ROOM] == SLIM:
        return built[BASE] + number * (2 * SLIM + ORDER_WORDS)
    if built[ROOM] == NARROW:
        return built[BASE] + number * (2 * NARROW + ORDER_WORDS)
    if built[ROOM] == MIDDLE:
        return built[BASE] + number * (2 * MIDDLE + ORDER_WORDS)
    return built[BASE] + number * (3 * WIDE + ORDER_WORDS)


@kernel
def entry_of(built, index, way):
    """Return where the entry of a way of set `index` lies."""
    return index + built[ROOM] + way


@kernel
def order_of(built, index):
    """Return where the order word of set `index` lies."""
    return index + 2 * built[ROOM]


@kernel
def find(stores, built, index, tag):
    """Return the lowest way of set `index` that holds `tag`, or -1."""
    if built[ROOM] == SLIM:
        found = match4(stores.words, index, tag)
    elif built[ROOM] == NARROW:
        found = match8(stores.words, index, tag)
    elif built[ROOM] == MIDDLE:
        found = match16(stores.words, index, tag)
    else:
        found = _match64(stores, index, tag)
    if found:
        return lowest_bit(found)
    return np.int64(-1)


@kernel
def held_in(stores, built, index):
    """Return a mask of the ways of set `index` that hold a tag."""
    return ~empty_in(stores, built, index) & ((np.int64(2) << (built[WAYS] - 1)) - 1)


@kernel
def empty_in(stores, built, index):
    """Return a mask of the ways of set `index` that hold nothing."""
    if built[ROOM] == SLIM:
        return match4(stores.words, index, EMPTY)
    if built[ROOM] == NARROW:
        return match8(stores.words, index, EMPTY)
    if built[ROOM] == MIDDLE:
        return match16(stores.words, index, EMPTY)
    return _match64(stores, index, EMPTY)


@part
def _remainder(key, sets):
    """Return key mod sets, for stores whose sets are no power of two; kept out of the way of those that are."""
    return key % sets


@part
def _match64(stores, first, tag):
    """Return a mask of 64 bits: which of words[first : first + 64] equal `tag`."""
    found = np.int64(0)
    for way in range(0, WIDE, 16):
        found |= match16(stores.words, first + way, tag) << way
    return found
