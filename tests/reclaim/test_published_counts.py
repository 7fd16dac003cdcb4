"""Misses on three strings, as textbooks and independent implementations count them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layers import naive
from oracle.replacement import misses

from vmcfg.reclaim.replacement import POLICIES
from vmcfg.reclaim.replay import next_uses, replay, replay_layer


def random_pages(count: int) -> list[int]:
    """The smaller of two numbers below 64 that one step of a generator gives: low pages are the hot ones."""
    pages, x = [], 1
    for _ in range(count):
        x = (1103515245 * x + 12345) % 2**31
        pages.append(min((x >> 16) % 64, (x >> 8) % 64))
    return pages


BELADYS_ANOMALY = [1, 2, 3, 4, 1, 2, 5, 1, 2, 3, 4, 5]
TEXTBOOK = [7, 0, 1, 2, 0, 3, 0, 4, 2, 3, 0, 3, 2, 1, 2, 0, 1, 7, 0, 1]
RANDOM = random_pages(2000)
SIZES = [
    (BELADYS_ANOMALY, 3),
    (BELADYS_ANOMALY, 4),
    (TEXTBOOK, 3),
    (TEXTBOOK, 4),
    (RANDOM, 8),
    (RANDOM, 16),
    (RANDOM, 32),
]
MISSES = {
    "fifo": [9, 10, 15, 10, 1649, 1308, 756],
    "lru": [10, 8, 12, 8, 1639, 1316, 703],
    "clock": [10, 8, 11, 8, 1634, 1329, 675],
    "clock_referenced": [9, 10, 14, 9, 1648, 1323, 723],
    "sieve": [10, 8, 11, 8, 1616, 1232, 634],
    "lfu": [10, 8, 11, 9, 1626, 1277, 649],
    "lru2": [10, 8, 14, 8, 1597, 1221, 564],
    "lru2_history": [10, 8, 13, 8, 1637, 1278, 644],
    "opt": [7, 6, 9, 8, 1109, 717, 300],
}


def test_the_random_string_is_the_one_that_was_counted() -> None:
    """Its beginning, and the number of its pages."""
    assert [6, 48, 1, 27, 11, 52, 34, 46, 20, 21, 50, 31] == RANDOM[:12]
    assert 62 == len(set(RANDOM))


@pytest.mark.parametrize("policy", MISSES)
def test_each_policy_misses_as_often_as_published(policy: str) -> None:
    """FIFO and clock with its bit set at first show Belady's anomaly: 9 misses with three frames, 10 with four."""
    assert MISSES[policy] == [replay(np.array(pages, np.int32), size, policy) for pages, size in SIZES]
    assert MISSES[policy] == [replay_layer(np.array(pages, np.int32), size, policy) for pages, size in SIZES]
    assert MISSES[policy] == [misses(naive(policy), pages, size) for pages, size in SIZES]


@pytest.mark.parametrize("policy", POLICIES)
def test_any_stream_misses_as_often_as_it_does_naively(policy: str) -> None:
    """Any capacity, also one that nothing leaves; one victim at a time, and several at once."""

    @given(st.lists(st.integers(0, 40), min_size=1, max_size=400), st.integers(1, 45), st.sampled_from((1, 2, 32)))
    @settings(max_examples=60)
    def is_equal(pages: list[int], capacity: int, batch: int) -> None:
        from_one_seed = [replay(np.array(pages, np.uint32), capacity, policy, 1, batch) for _ in range(2)]
        expected = misses(naive(policy, "replay"), pages, capacity, batch)
        assert [expected, expected] == from_one_seed

    is_equal()


def test_next_uses_are_positions() -> None:
    """Of 5 6 5 the first is used next at 2; the others never."""
    never = 1 << 62
    assert [2, never, never] == next_uses(np.array([5, 6, 5], np.int32)).tolist()


def test_nothing_can_be_replayed_without_room() -> None:
    """A memory has at least one page, and at least one leaves."""
    for capacity, batch in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="at least 1"):
            replay(np.zeros(1, np.int32), capacity, "lru", 0, batch)


def test_an_empty_stream_misses_nothing() -> None:
    """No page, no miss."""
    assert {0} == {replay(np.zeros(0, np.int32), 1, policy) for policy in POLICIES}
