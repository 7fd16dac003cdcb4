"""Set-associative stores: TLBs, page-walk caches and the nested TLB are all one mechanism.

`hardware.sets` says how a store lies in memory. Here is what happens to it: an entry is touched by a hit, filled in
place of a victim, dropped, flushed. Which entry is the victim is a replacement policy's business, and each has a file
with the same four verbs:

    touch(stores, built, index, way)     a hit
    replace(stores, built, index)        choose the way to fill, empty ways first, and count it as used
    forget(stores, built, index, way)    the way is being emptied
    clear(stores, built, index)          a set of empty ways

A policy is a number in `hardware.sets`, a line in POLICIES, and a branch in each of the four functions at the end.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware import lru_order, lru_stamps, lru_table, tree_plru
from vmcfg.hardware.sets import (
    EMPTY,
    LRU_ORDER,
    LRU_STAMPS,
    LRU_TABLE,
    MIDDLE,
    NARROW,
    POLICY,
    SETS,
    SLIM,
    TREE_PLRU,
    WAYS,
    WIDE,
    entry_of,
    find,
    geometry,
    held_in,
    nth_set,
    page_of_tag,
    set_of,
    space_of,
    tag_of,
)
from vmcfg.jit import kernel, lowest_bit, part

__all__ = [  # with what users of a store need of `hardware.sets`
    "MIDDLE",
    "NARROW",
    "POLICIES",
    "SETS",
    "SLIM",
    "drop",
    "fill",
    "find",
    "flush",
    "flush_spaces",
    "geometry",
    "is_dirty",
    "payload_of",
    "policy_of",
    "set_dirty",
    "set_of",
    "tag_of",
    "touch",
]

POLICIES = {
    "lru": ((lru_table.MOST_WAYS, LRU_TABLE), (lru_order.MOST_WAYS, LRU_ORDER), (WIDE, LRU_STAMPS)),
    "plru": ((WIDE, TREE_PLRU),),
}
"""What serves a policy of the language: the first (room for up to so many ways, number) that fits."""


def policy_of(name: str, room: int) -> int:
    """Return the number of the policy `name` for sets with room for so many ways."""
    return next(number for most, number in POLICIES[name] if room <= most)


@kernel
def fill(stores, built, index, tag, payload, dirty):
    """Put `tag` into set `index` in place of the victim, and count it as used."""
    way = _replace(stores, built, index)
    stores.words[index + way] = tag
    stores.words[entry_of(built, index, way)] = (payload << 1) | dirty


@kernel
def payload_of(stores, built, index, way):
    """Return what an entry leads to."""
    return stores.words[entry_of(built, index, way)] >> 1


@kernel
def is_dirty(stores, built, index, way):
    """Return 1 if the entry was filled from a dirty leaf or has been written through since, else 0."""
    return stores.words[entry_of(built, index, way)] & 1


@kernel
def set_dirty(stores, built, index, way):
    """Set the entry's D bit; recency does not change."""
    stores.words[entry_of(built, index, way)] |= 1


@kernel
def drop(stores, built, key, tag):
    """Empty the way that holds `tag`, if any."""
    if built[SETS] == 0:
        return
    index = set_of(built, key)
    way = find(stores, built, index, tag)
    if way >= 0:
        _empty(stores, built, index, way)


@part
def flush(stores, cache):
    """Empty the whole store."""
    built = geometry(stores, cache, False, NARROW)
    for number in range(built[SETS]):
        index = nth_set(built, number)
        for way in range(built[WAYS]):
            stores.words[index + way] = EMPTY
        _clear(stores, built, index)


@part
def flush_spaces(stores, cache, first_space, end_space):
    """Empty every way that holds a tag of one of the address spaces first_space … end_space - 1."""
    built = geometry(stores, cache, False, NARROW)
    is_in_order = built[POLICY] == LRU_TABLE or built[POLICY] == LRU_ORDER  # trees keep their bits; stamps are many
    for number in range(built[SETS]):
        index = nth_set(built, number)
        held = held_in(stores, built, index)
        leaving = _of_spaces(stores, index, held, first_space, end_space)
        if is_in_order and leaving == held:
            _empty_all(stores, built, index, held)
            continue
        while leaving:
            _empty(stores, built, index, lowest_bit(leaving))
            leaving &= leaving - 1


@kernel
def _of_spaces(stores, index, held, first_space, end_space):
    """Return which of the ways that are `held` hold a tag of these address spaces."""
    leaving = np.int64(0)
    left = held
    while left:
        rest = left & (left - 1)
        if first_space <= space_of(stores.words[index + lowest_bit(left)]) < end_space:
            leaving |= left ^ rest
        left = rest
    return leaving


@part
def drop_pages(stores, cache, space, first, end):
    """Empty every way of a TLB that holds a page, of any size, of `space` that begins in first … end - 1."""
    built = geometry(stores, cache, False, NARROW)
    for number in range(built[SETS]):
        index = nth_set(built, number)
        for way in range(built[WAYS]):
            tag = stores.words[index + way]
            if tag != EMPTY and space_of(tag) == space and first <= page_of_tag(tag)[0] < end:
                _empty(stores, built, index, way)


@kernel
def touch(stores, built, index, way):
    """Count a hit of `way`."""
    if built[POLICY] == LRU_TABLE:
        lru_table.touch(stores, built, index, way)
    elif built[POLICY] == LRU_ORDER:
        lru_order.touch(stores, built, index, way)
    elif built[POLICY] == LRU_STAMPS:
        lru_stamps.touch(stores, built, index, way)
    else:
        tree_plru.touch(stores, built, index, way)


@kernel
def _replace(stores, built, index):
    if built[POLICY] == LRU_TABLE:
        return lru_table.replace(stores, built, index)
    if built[POLICY] == LRU_ORDER:
        return lru_order.replace(stores, built, index)
    if built[POLICY] == LRU_STAMPS:
        return lru_stamps.replace(stores, built, index)
    return tree_plru.replace(stores, built, index)


@kernel
def _empty(stores, built, index, way):
    if built[POLICY] == LRU_TABLE:
        lru_table.forget(stores, built, index, way)
    elif built[POLICY] == LRU_ORDER:
        lru_order.forget(stores, built, index, way)
    elif built[POLICY] == LRU_STAMPS:
        lru_stamps.forget(stores, built, index, way)
    else:
        tree_plru.forget(stores, built, index, way)
    stores.words[index + way] = EMPTY  # last: a look at all ways would have to wait for it


@kernel
def _empty_all(stores, built, index, held):
    """Empty all ways that are held: one by one they would come into this very order, of an untouched set."""
    if held == 0:
        return
    while held:
        stores.words[index + lowest_bit(held)] = EMPTY
        held &= held - 1
    _clear(stores, built, index)


@kernel
def _clear(stores, built, index):
    if built[POLICY] == LRU_TABLE:
        lru_table.clear(stores, built, index)
    elif built[POLICY] == LRU_ORDER:
        lru_order.clear(stores, built, index)
    elif built[POLICY] == LRU_STAMPS:
        lru_stamps.clear(stores, built, index)
    else:
        tree_plru.clear(stores, built, index)
