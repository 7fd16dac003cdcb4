"""The set-associative store against a list per set: whichever way it keeps recency, and however it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmcfg.hardware import assoc
from vmcfg.hardware.sets import MIDDLE, NARROW, SLIM
from vmcfg.hardware.stores import Built, new_stores
from vmcfg.jit import by_reference, entry

ACCESS, PROBE, LOAD_PAYLOAD, LOAD_DIRTY, SET_DIRTY, DROP, FLUSH, FLUSH_SPACE = range(8)
WEIGHTS = (60, 10, 10, 10, 10, 12, 0.3, 0.7)
NOTHING = -1

LEAN = [(1, 1), (2, 1), (1, 2), (4, 3), (1, 4), (2, 5), (1, 7), (16, 4), (1, 8), (1, 12), (4, 12), (1, 16), (2, 16)]
OTHERS = [(3, 1), (5, 4), (7, 12), (3, 16), (1, 17), (2, 24), (3, 33), (1, 63), (1, 64), (5, 64)]
SPACES = (0, 1, 2, 65_535)
LARGEST_KEY = (1 << 45) - 1


def specialise(lean_room: int) -> Callable[..., None]:
    """Return the entry that carries out a program: i64[steps, (operation, cache, space, key, payload, dirty)]."""

    @entry
    def operate(all_stores, program, results):  # type: ignore[no-untyped-def]
        stores = by_reference(all_stores)
        for step in range(program.shape[0]):
            operation, cache, space, key = program[step, 0], program[step, 1], program[step, 2], program[step, 3]
            built = assoc.geometry(stores, cache, lean_room > 0, lean_room)
            index = assoc.set_of(built, key)
            tag = assoc.tag_of(space, key)
            way = assoc.find(stores, built, index, tag)
            results[step] = way
            if operation == ACCESS:
                if way >= 0:
                    assoc.touch(stores, built, index, way)
                else:
                    assoc.fill(stores, built, index, tag, program[step, 4], program[step, 5])
            elif operation == LOAD_PAYLOAD and way >= 0:
                results[step] = assoc.payload_of(stores, built, index, way)
            elif operation == LOAD_DIRTY and way >= 0:
                results[step] = assoc.is_dirty(stores, built, index, way)
            elif operation == SET_DIRTY and way >= 0:
                assoc.set_dirty(stores, built, index, way)
            elif operation == DROP:
                assoc.drop(stores, built, key, tag)
            elif operation == FLUSH:
                assoc.flush(stores, cache)
            elif operation == FLUSH_SPACE:
                assoc.flush_spaces(stores, cache, space, space + 1)

    return operate


OPERATE = {room: specialise(room) for room in (0, SLIM, NARROW, MIDDLE)}


@dataclass
class Line:
    space: int
    key: int
    payload: int
    dirty: int


@dataclass
class NaiveSet:
    """Ways by number, and their numbers from the least to the most recently used."""

    ways: int
    lines: dict[int, Line] = field(default_factory=dict)
    recency: list[int] = field(default_factory=list)

    def find(self, space: int, key: int) -> int:
        return next((way for way, line in self.lines.items() if (line.space, line.key) == (space, key)), NOTHING)

    def touch(self, way: int) -> None:
        self.recency.remove(way)
        self.recency.append(way)

    def fill(self, line: Line) -> None:
        """An empty way first, the lowest of them; else the least recently used."""
        empty = [way for way in range(self.ways) if way not in self.lines]
        way = empty[0] if empty else self.recency.pop(0)
        self.lines[way] = line
        self.recency.append(way)

    def drop(self, way: int) -> None:
        del self.lines[way]
        self.recency.remove(way)


class NaiveStore:
    def __init__(self, sets: int, ways: int) -> None:
        self.sets = [NaiveSet(ways) for _ in range(sets)]

    def step(self, operation: int, space: int, key: int, payload: int, dirty: int) -> int:
        row = self.sets[key % len(self.sets)]
        way = row.find(space, key)
        if operation == ACCESS:
            if way == NOTHING:
                row.fill(Line(space, key, payload, dirty))
            else:
                row.touch(way)
        elif operation == LOAD_PAYLOAD and way != NOTHING:
            return row.lines[way].payload
        elif operation == LOAD_DIRTY and way != NOTHING:
            return row.lines[way].dirty
        elif operation == SET_DIRTY and way != NOTHING:
            row.lines[way].dirty = 1
        elif operation == DROP and way != NOTHING:
            row.drop(way)
        elif operation in (FLUSH, FLUSH_SPACE):
            self._flush(None if operation == FLUSH else space)
        return way

    def _flush(self, space: int | None) -> None:
        for row in self.sets:
            for way in [way for way, line in row.lines.items() if space in (None, line.space)]:
                row.drop(way)


def stores_of(*shapes: tuple[int, int], room: int = 0) -> assoc.Stores:
    """Build stores, given as (sets, ways)."""
    return new_stores([Built(*shape, "lru", room) for shape in shapes])


def program_of(length: int, seed: int, capacity: int) -> np.ndarray:
    """Operations on both TLBs over some more keys than fit, near 0 and near the largest one, of several spaces."""
    dice = Random(seed)
    keys = list(range(max(2, capacity * 3 // 4))) + [LARGEST_KEY - n for n in range(3)]
    return np.array(
        [
            (
                dice.choices(range(8), WEIGHTS)[0], dice.choice((0, 0, 0, 1)), dice.choice(SPACES[: 1 + seed % 4]),
                dice.choice(keys), dice.getrandbits(40), dice.getrandbits(1),
            )
            for _ in range(length)
        ],
        np.int64,
    )  # fmt: skip


def ways_agree(shapes: tuple[tuple[int, int], tuple[int, int]], lean_room: int, length: int, seed: int) -> None:
    """The engine's stores and the naive ones answer every step alike, with the number of the way."""
    program = program_of(length, seed, 2 * shapes[0][0] * shapes[0][1])
    found = np.full(length, -9, np.int64)
    OPERATE[lean_room](stores_of(*shapes, room=lean_room), program, found)
    naive = [NaiveStore(*shape) for shape in shapes]
    expected = [naive[int(cache)].step(int(operation), *map(int, rest)) for operation, cache, *rest in program]
    assert expected == found.tolist()


def lean(room: int) -> Any:
    return st.sampled_from([shape for shape in LEAN if shape[1] <= room])


@pytest.mark.parametrize("room", [SLIM, NARROW, MIDDLE])
@given(st.data(), st.booleans(), st.integers(1, 700), st.integers(0, 1 << 32))
def test_a_lean_store_answers_as_lists_do(room: int, data: Any, is_lean: bool, length: int, seed: int) -> None:
    """Powers of two of sets and up to 4, 8 or 16 ways: code made for just these, and code made for any."""
    shapes = data.draw(lean(room)), data.draw(lean(room))
    ways_agree(shapes, room if is_lean else 0, length, seed)


@given(st.sampled_from(OTHERS), st.sampled_from(OTHERS + LEAN), st.integers(1, 900), st.integers(0, 1 << 32))
def test_any_store_answers_as_lists_do(first: tuple[int, int], second: tuple[int, int], length: int, seed: int) -> None:
    """Any number of sets, and up to 64 ways kept by time stamps."""
    ways_agree((first, second), 0, length, seed)


@pytest.mark.parametrize("shape", LEAN + OTHERS)
def test_a_new_store_fills_its_ways_in_order(shape: tuple[int, int]) -> None:
    """The first keys of a set take the ways 0, 1, 2 … and the next one evicts way 0."""
    sets, ways = shape
    fills = [(ACCESS, 0, 0, key * sets, 0, 0) for key in range(ways + 1)]
    probes = [(PROBE, 0, 0, key * sets, 0, 0) for key in range(ways + 1)]
    found = np.zeros(2 * ways + 2, np.int64)
    OPERATE[0](stores_of(shape), np.array(fills + probes, np.int64), found)
    assert [NOTHING, *range(1, ways), 0] == found[ways + 1 :].tolist()
