"""Stores from outside the kernels: made empty, and read without being touched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from vmcfg.hardware import assoc
from vmcfg.hardware import sets as layout
from vmcfg.jit import by_reference, entry

WORDS_PER_LINE = 8  # of 64 bytes: sets that straddle lines cost up to 30 %


class Held(NamedTuple):
    """An entry of a store: where it is, and what it says."""

    set: int
    way: int
    tag: int
    payload: int
    is_dirty: bool


class Built(NamedTuple):
    """How a store is to be built; `least_room` is SLIM, NARROW, MIDDLE or WIDE."""

    sets: int
    ways: int
    policy: str
    least_room: int = layout.SLIM
    is_folded: bool = False  # the index


def new_stores(stores: Sequence[Built | None]) -> layout.Stores:
    """Return empty stores; None is one that is not there."""
    shape = np.zeros((len(stores), layout.SHAPE_FIELDS), np.int64)
    base = 0
    for cache, built in enumerate(stores):
        if built is not None:
            room = max(built.least_room, layout.room_for(built.ways))
            policy = assoc.policy_of(built.policy, room)
            shape[cache] = layout.shape_of(base, built.sets, built.ways, room, policy, built.is_folded)
            base += built.sets * layout.words_of(room)
    made = layout.Stores(_aligned(base, layout.PADDING), shape, np.zeros(1, np.int64))
    _empty(made, len(stores))
    return made


def cache_of(stores: layout.Stores, index: int) -> int:
    """Return the store to which the set at `index` belongs."""
    begins, has_sets = stores.shape[:, layout.BASE], stores.shape[:, layout.SETS] > 0
    return int(np.flatnonzero((begins <= index) & has_sets)[-1])


def number_of(stores: layout.Stores, cache: int, index: int) -> int:
    """Return the number, within its store, of the set at `index`."""
    shape = stores.shape[cache]
    return (index - int(shape[layout.BASE])) // layout.words_of(int(shape[layout.ROOM]))


def tags_of(stores: layout.Stores, cache: int, number: int) -> list[int]:
    """Return the tags in a set, by way."""
    shape = stores.shape[cache]
    index = int(shape[layout.BASE]) + number * layout.words_of(int(shape[layout.ROOM]))
    return [int(tag) for tag in stores.words[index : index + int(shape[layout.WAYS])]]


def held(stores: layout.Stores, cache: int) -> Iterator[Held]:
    """Yield what a store holds."""
    shape = stores.shape[cache]
    room = int(shape[layout.ROOM])
    for number in range(int(shape[layout.SETS])):
        index = int(shape[layout.BASE]) + number * layout.words_of(room)
        for way, tag in enumerate(tags_of(stores, cache, number)):
            if tag != layout.EMPTY:
                word = int(stores.words[index + room + way])
                yield Held(number, way, tag, word >> 1, bool(word & 1))


@entry
def _empty(all_stores, count):
    """Empty so many stores."""
    stores = by_reference(all_stores)
    for cache in range(count):
        assoc.flush(stores, cache)


def _aligned(length: int, value: int) -> np.ndarray:
    """Allocate i64[length], at least one, on a cache line's border."""
    raw = np.full(max(1, length) + WORDS_PER_LINE - 1, value, np.int64)
    skip = (-raw.ctypes.data // 8) % WORDS_PER_LINE
    return raw[skip : skip + max(1, length)]
