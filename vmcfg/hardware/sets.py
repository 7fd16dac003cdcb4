"""Sets of tags: where the ways of every set-associative store lie, and how a tag is found among them.

All stores of a host lie in the same flat arrays; `shape[cache]` says where one begins and how it is built.

    tags     i64[slot]   what is held: a tag, EMPTY, or PADDING that can never match
    payload  i64[slot]   what it leads to: a frame, or the index of the next table
    stamp    i64[slot]   a replacement policy's word per way
    order    i64[set]    a replacement policy's word per set
    dirty    i64[set]    one bit per way: the entry was filled from a dirty leaf
    shape    i64[cache, field]
    clock    i64[1]      a replacement policy's count of touches

All ways of a set are compared at once, so a set has room for 4, 16 or 64 ways (SHIFT says which).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.jit import kernel, lowest_bit, match4, match16, part

EMPTY = 0
PADDING = -1
MAX_WAYS = 64  # one dirty bit each
NARROW, MIDDLE, WIDE = 2, 4, 6  # SHIFT: room for 4, 16, 64 ways in a set

# Replacement policies, as the kernels know them: a file each.
LRU_ORDER, LRU_STAMPS, TREE_PLRU = range(3)

# Fields of shape[cache].
SLOT_BASE, FIRST_SET, SETS, MASK, WAYS, SHIFT, POLICY = range(7)
SHAPE_FIELDS = 7  # MASK is SETS - 1 for powers of two, else -1; way w of set s is slot SLOT_BASE + (s << SHIFT) + w

# Tags: bit 0 valid, 45 bits of key, then the address space.
KEY_SHIFT = 1
SPACE_SHIFT = 46
MAX_SPACES = 1 << 16

_NOT_NEGATIVE = (1 << 62) - 1


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

    With `is_lean`, a constant, the caller vouches that sets are a power of two, ways at most sixteen and the policy
    LRU. Said in terms of the values, this lets the compiler leave out all that is only there for the others.
    """
    shape = stores.shape
    mask, ways, shift, policy = shape[cache, MASK], shape[cache, WAYS], shape[cache, SHIFT], shape[cache, POLICY]
    if is_lean:
        mask &= _NOT_NEGATIVE
        shift = NARROW if shift == NARROW else MIDDLE
        policy = np.int64(LRU_ORDER)
    return shape[cache, SLOT_BASE], shape[cache, FIRST_SET], shape[cache, SETS], mask, ways, shift, policy


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
    """Return the lowest way of set `index` that holds `tag`, or -1."""
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
