"""Miss-ratio curves: the misses of LRU at every capacity, all of them from one pass, or about so from a sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layers import drawing
from oracle.replacement import Lru, misses
from streams import zipf_ten_million

from vmcfg.reclaim.curves import MILLION, distances, lru_curve, sampled_lru_curve
from vmcfg.reclaim.replay import replay
from vmcfg.trace.twin import Twin

PLAIN = Twin({}).module("vmcfg.reclaim.curves")


def naive_distances(pages: list[int]) -> list[int]:
    """The LRU stack as a list, the newest page first; a page's distance is its place in it, from 1."""
    stack: list[int] = []
    found = [0] * (max(pages, default=-1) + 2)
    for page in pages:
        if page in stack:
            found[stack.index(page) + 1] += 1
            stack.remove(page)
        stack.insert(0, page)
    return found


@given(st.lists(st.integers(0, 70), max_size=500))
def test_distances_are_places_in_the_stack(pages: list[int]) -> None:
    """Compiled and plain; words of marks begin and end."""
    stream = np.array(pages, np.uint32)
    with np.errstate(over="ignore"):
        assert naive_distances(pages) == distances(stream).tolist() == PLAIN.distances(stream).tolist()


@pytest.mark.parametrize("end", [4, 16, 71])
def test_distances_outlive_their_slots(end: int) -> None:
    """Slots are twice the pages, in whole words of 32: a thousand accesses use them up several times over."""
    stream = np.random.default_rng(end).integers(0, end, 1000).astype(np.uint32)
    with np.errstate(over="ignore"):
        assert naive_distances(stream.tolist()) == distances(stream).tolist() == PLAIN.distances(stream).tolist()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_the_curve_has_what_replays_miss(pages: list[int]) -> None:
    """At every capacity, also above the number of pages; without memory each access misses."""
    curve = lru_curve(np.array(pages, np.int32))
    assert len(pages) == curve.accesses == curve.at(0)
    assert [misses(Lru(), pages, size) for size in range(1, 40)] == [curve.at(size) for size in range(1, 40)]


def test_a_loop_misses_always_until_it_fits() -> None:
    """Five pages, three times: 15 misses in up to four pages, 5 in five."""
    curve = lru_curve(np.tile(np.arange(5, dtype=np.int32), 3))
    assert [15, 15, 15, 15, 15, 5] == curve.misses.tolist()
    assert [15, 5, 5] == [curve.at(size) for size in (4, 5, 100)]


@given(
    st.lists(st.integers(0, 60), max_size=300), st.sampled_from((1, 200_000, 500_000, 999_999, MILLION)), st.booleans()
)
def test_a_sample_is_of_pages_and_scales_what_they_tell(pages: list[int], rate_ppm: int, is_adjusted: bool) -> None:
    """The pages whose draw below a million is below the rate; k of them stand for k ÷ rate pages, rounded up."""
    draw = drawing("shards")
    kept = [page for page in pages if draw(page, MILLION) < rate_ppm]
    missed = [len(kept) - sum(naive_distances(kept)[: size + 1]) for size in range(len(set(kept)) + 1)]
    # An access of the sample stands for so many: one of the rate, or as many as there are for each that there is.
    above, below = (MILLION, rate_ppm) if is_adjusted else (len(pages), max(1, len(kept)))
    expected = [len(pages)] + [min(len(pages), (2 * count * above + below) // (2 * below)) for count in missed[1:]]
    curve = sampled_lru_curve(np.array(pages, np.int32), rate_ppm, 1, is_adjusted)
    assert expected == curve.misses.tolist()
    assert [-(-size * MILLION // rate_ppm) for size in range(len(expected))] == curve.capacities.tolist()


def test_all_pages_are_no_sample() -> None:
    """At a rate of one the curve is exact, whether adjusted or not."""
    pages = np.random.default_rng(5).integers(0, 50, 400).astype(np.int32)
    for is_adjusted in (False, True):
        assert lru_curve(pages).misses.tolist() == sampled_lru_curve(pages, MILLION, 0, is_adjusted).misses.tolist()


@pytest.mark.parametrize("rate_ppm", [0, MILLION + 1])
def test_a_rate_is_a_part(rate_ppm: int) -> None:
    """More than nothing, and all at most."""
    with pytest.raises(ValueError, match="expected 1 to 1000000"):
        sampled_lru_curve(np.zeros(1, np.int32), rate_ppm)


@pytest.mark.slow
def test_a_hundredth_of_the_pages_tells_the_curve_of_a_long_stream() -> None:
    """Ten million skewed accesses: adjusted, 1 % of 760,000 pages is wrong by 0.2 % of accesses on average, and exact
    curves equal replays to the last miss."""
    pages = zipf_ten_million()
    exact, sampled = lru_curve(pages), sampled_lru_curve(pages, 10_000)
    assert 2_462_997 == exact.at(76_278)
    assert [replay(pages, size) for size in (1_000, 300_000)] == [exact.at(size) for size in (1_000, 300_000)]
    wrong = [abs(exact.at(size) - sampled.at(size)) for size in range(1_000, 760_000, 5_000)]
    assert sum(wrong) / len(wrong) <= 0.002 * len(pages)
