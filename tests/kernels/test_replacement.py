"""Replacement policies: the kernels evict what naive caches evict, touch by touch."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.caches import cache_of

from vmcfg.hardware import assoc, sets
from vmcfg.hardware.stores import Built, held, new_stores
from vmcfg.jit import by_reference, entry
from vmcfg.scenario.spec import CacheShape

LOOK, DROP, FLUSH, FLUSH_SPACE = range(4)
SPACES = ("a", "b")


@entry
def step(all_stores, what, space, key):
    """Do one thing to store 0. A look touches what it finds (1) or fills (0)."""
    stores = by_reference(all_stores)
    tag = assoc.tag_of(space, key)
    built = assoc.geometry(stores, 0, False, assoc.NARROW)
    if what == LOOK:
        index = assoc.set_of(built, key)
        way = assoc.find(stores, built, index, tag)
        if way >= 0:
            assoc.touch(stores, built, index, way)
            return 1
        assoc.fill(stores, built, index, tag, key, 0)
        return 0
    if what == DROP:
        assoc.drop(stores, built, key, tag)
    elif what == FLUSH:
        assoc.flush(stores, 0)
    else:
        assoc.flush_spaces(stores, 0, space, space + 1)
    return 0


def stores_of(shape: CacheShape) -> sets.Stores:
    """One empty store."""
    return new_stores([Built(shape.entries // shape.ways, shape.ways, shape.policy)])


ways = st.sampled_from((1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 16, 17, 24, 33, 48, 64))
steps = st.lists(
    st.tuples(st.sampled_from((*[LOOK] * 30, DROP, DROP, FLUSH, FLUSH_SPACE)), st.integers(0, 1), st.integers(0, 150)),
    min_size=100,
    max_size=600,
)


@pytest.mark.parametrize("policy", sorted(assoc.POLICIES))
@pytest.mark.slow
def test_kernels_hit_and_miss_as_a_naive_cache_does(policy: str) -> None:
    """Any number of sets and ways, two address spaces, entries dropped and flushed on the way."""

    @given(st.sampled_from((1, 2, 3, 4)), ways, steps, st.integers(1, 150))
    @settings(max_examples=150)
    def is_equal(rows: int, width: int, todo: list[tuple[int, int, int]], keys: int) -> None:
        shape = CacheShape(rows * width, width, policy)
        stores, naive = stores_of(shape), cache_of(shape)
        for what, space, number in todo:
            key = number % keys
            assert _naively(naive, what, SPACES[space], key) == step(stores, what, space, key)

    is_equal()


def _naively(cache: Any, what: int, space: str, key: int) -> int:
    if what == LOOK:
        if cache.hit(space, key) is not None:
            return 1
        cache.fill(space, key)
    elif what == DROP:
        cache.drop(space, key)
    elif what == FLUSH:
        cache.flush()
    else:
        for number in range(150):
            cache.drop(space, number)
    return 0


def evicted(ways: int, touches: list[int], policy: str = "plru") -> int:
    """Fill ways 0, 1, … with keys of the same numbers, touch some, and tell which key the next fill puts out."""
    stores = stores_of(CacheShape(ways, ways, policy))
    for key in [*range(ways), *touches, 99]:
        step(stores, LOOK, 0, key)
    left = {entry.tag >> sets.KEY_SHIFT for entry in held(stores, 0)}
    (gone,) = set(range(ways)) - left
    return gone


def test_the_tree_of_four_ways_by_hand() -> None:
    """After 0 1 2 3 all bits point left: 0 leaves. A touch of 0 sends the root right, where 2 is older than 3."""
    assert (0, 2) == (evicted(4, []), evicted(4, [0]))


def test_the_tree_forgets_what_lru_remembers() -> None:
    """After 0 1 2 3 0 2, LRU puts out 1 and so does the tree; after 0 2 1 LRU puts out 3, and so does the tree; after
    2 0 LRU puts out 1, but the tree goes where 0 is not, to 3."""
    assert (1, 3, 1) == (evicted(4, [0, 2], "lru"), evicted(4, [0, 2, 1], "lru"), evicted(4, [2, 0], "lru"))
    assert (1, 3, 3) == (evicted(4, [0, 2]), evicted(4, [0, 2, 1]), evicted(4, [2, 0]))


def test_a_branch_without_ways_is_never_taken() -> None:
    """Three ways under four leaves: after 0 and 1 the root points right, where only 2 is; touching 2 sends it left."""
    assert (2, 0, 2) == (evicted(3, [0, 1]), evicted(3, []), evicted(3, [2, 1, 0]))


def test_an_unknown_policy_has_no_number() -> None:
    """Names are those of the schema."""
    with pytest.raises(KeyError):
        assoc.policy_of("fifo", 4)
