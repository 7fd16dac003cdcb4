"""Random processors: any of their caches absent or of any shape, any costs."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from hypothesis import strategies as st
from oracle import tiny

from vmcfg.scenario.spec import SHARED, CacheShape, Cpu, DataCache, DataCaches, LargeTlbs

WAYS = (1, 1, 2, 3, 4, 6, 8, 12, 16, 17, 24, 33, 64)
SETS = (1, 1, 2, 3, 4, 5, 7, 16)
LEAN_WAYS = (1, 1, 2, 3, 4, 7, 12, 16)
LEAN_SETS = (1, 1, 2, 4, 8)
CHEAP = (0, 1, 2, 3, 10)
DEAR = (0, 7, 50, 200, 1009, 5000)


@st.composite
def processors(draw: Any, hz: int) -> Cpu:
    """A processor with any of its caches absent, of any shape; only the first-level TLB is always there.

    Half of them are lean, as real ones are described: a power of two of sets, 16 ways at most, LRU, one TLB for fetches
    and data.
    """
    is_lean = draw(st.booleans())
    caches = _shapes(LEAN_SETS, LEAN_WAYS) if is_lean else shapes() | _shapes(SETS, WAYS, "plru") | _folded()
    small = _shapes((1, 2), (1, 2, 3))
    some = st.one_of(caches, caches, st.none())
    figures = draw(st.sampled_from((CHEAP, DEAR)))
    costs = {name: draw(st.sampled_from(figures)) for name in tiny.COSTS}
    features = ("ept", "ept_ad", "vpid") if draw(st.booleans()) else ("ept", "vpid")
    return tiny.processor(
        hz=hz,
        features=features,
        l1_tlb=draw(small | caches),
        l1_itlb=None if is_lean else draw(some),
        l2_tlb=draw(some),
        guest_walk_caches=draw(_walk_caches(caches)),
        host_walk_caches=draw(_walk_caches(caches)),
        nested_tlb=draw(some),
        walkers=draw(st.sampled_from((1, 2, 4))),
        costs=costs | {"access": draw(st.sampled_from((1, 4, 9)))},
        data_caches=draw(st.none() | data_caches()),
        large_tlbs=draw(st.none() | large_tlbs(caches)),
    )


def data_caches() -> st.SearchStrategy[DataCaches]:
    """Data caches of few lines, so that tables displace each other; any number of sets, and levels that are absent."""
    level = st.builds(
        lambda sets, ways, latency: DataCache(64 * sets * ways, ways, latency),
        st.sampled_from((1, 1, 2, 3, 4, 5, 12, 16)),
        st.sampled_from((1, 1, 2, 3, 8, 11, 16, 17, 20, 32)),
        st.sampled_from((0, 1, 4, 14)),
    )
    return st.builds(DataCaches, level, st.none() | level, st.none() | level, st.sampled_from((0, 50, 200)))


def shapes() -> st.SearchStrategy[CacheShape]:
    """Caches of any number of sets, not only powers of two, and of up to 64 ways."""
    return _shapes(SETS, WAYS)


def large_tlbs(caches: st.SearchStrategy[CacheShape]) -> st.SearchStrategy[LargeTlbs]:
    """Where entries of large pages are held, if anywhere: in caches of their own, or beside others."""
    home = st.none() | st.just(SHARED) | caches
    return st.builds(LargeTlbs, home, home, home, home)


def _shapes(sets: tuple[int, ...], ways: tuple[int, ...], policy: str = "lru") -> st.SearchStrategy[CacheShape]:
    return st.builds(
        lambda rows, width: CacheShape(rows * width, width, policy), st.sampled_from(sets), st.sampled_from(ways)
    )


def _folded() -> st.SearchStrategy[CacheShape]:
    """Caches indexed by exclusive-or: their sets are a power of two."""
    return st.builds(evolve, _shapes(LEAN_SETS, WAYS) | _shapes(LEAN_SETS, WAYS, "plru"), index=st.just("xor"))


def _walk_caches(caches: st.SearchStrategy[CacheShape]) -> st.SearchStrategy[dict[int, CacheShape]]:
    return st.dictionaries(st.sampled_from((2, 3, 4, 5)), caches, max_size=4)
