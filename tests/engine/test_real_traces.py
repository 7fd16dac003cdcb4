"""The traces of three real programs, replayed by the engine and by models of a TLB that know nothing else.

A touch of the page that was touched before cannot miss, so the models see each run of touches of one page once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import CacheShape, Trace
from vmcfg.workload.traces import read

DATA = Path(__file__).parents[2] / "scenarios" / "data"
TRACES = {
    "sort": Trace("sort", DATA / "sort.u32.zst", "records", "sort.vpn", DATA / "sort.vpn.gz"),
    "sqlite": Trace("sqlite", DATA / "sqlite.u32.zst", "records", "sqlite.vpn", DATA / "sqlite.vpn.gz"),
    "ls": Trace("ls", DATA / "ls.lackey.xz", "lackey"),
}
PUBLISHED_MISSES = {"sort": 871, "sqlite": 70_592}  # of 64 entries, see scenarios/data/README.md
PREFIX = 2_000_000  # records of sqlite that the two-level model, in plain Python, has patience for
FIRST, SECOND = CacheShape(64, 4), CacheShape(1536, 12)

pytestmark = pytest.mark.slow


@cache
def pages_of(program: str) -> np.ndarray:
    """The virtual page of each record."""
    data = read(TRACES[program])
    return data.vpns[data.records >> 2]


def without_repeats(pages: np.ndarray) -> list[int]:
    return pages[np.flatnonzero(np.diff(pages, prepend=-1))].tolist()


def replay(
    program: str, mode: str, first: CacheShape, second: CacheShape | None, touches: int | None
) -> tuple[int, ...]:
    """Return what the engine counts: touches, hits of the two levels, walks."""
    cpu = tiny.processor(l1_tlb=first, l2_tlb=second, guest_walk_caches={2: CacheShape(32, 4)})
    phase = tiny.phase(pattern=None, trace=TRACES[program], accesses=touches)
    scenario = tiny.scenario(on=tiny.host(mode, cpu=cpu), runs=tiny.workload(phase, pages=0))
    counters = simulate(compile_plan(scenario)).vms[0].phases[1].counters
    return tuple(counters[name] for name in ("touches", "l1_hits", "stlb_hits", "walks"))


def lru_misses(pages: Iterable[int], entries: int) -> int:
    """One fully associative level: an ordered dictionary."""
    held: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for page in pages:
        if page in held:
            held.move_to_end(page)
            continue
        misses += 1
        held[page] = None
        if len(held) > entries:
            held.popitem(last=False)
    return misses


def two_level_misses(pages: Iterable[int], first: CacheShape, second: CacheShape) -> tuple[int, int]:
    """Misses of the first level and of both: a list per set, the most recently used page last."""
    near: list[list[int]] = [[] for _ in range(first.entries // first.ways)]
    far: list[list[int]] = [[] for _ in range(second.entries // second.ways)]
    first_misses = walks = 0
    for page in pages:
        row = near[page % len(near)]
        if page in row:
            row.remove(page)
        else:
            first_misses += 1
            behind = far[page % len(far)]
            if page in behind:
                behind.remove(page)
            else:
                walks += 1
                del behind[: max(0, len(behind) + 1 - second.ways)]
            behind.append(page)
            del row[: max(0, len(row) + 1 - first.ways)]
        row.append(page)
    return first_misses, walks


@pytest.mark.parametrize("program", TRACES)
def test_a_fully_associative_tlb_walks_as_often_as_an_ordered_dictionary_misses(program: str) -> None:
    """64 entries and no second level, in both modes: where a page lies does not change who is evicted."""
    pages = pages_of(program)
    misses = lru_misses(without_repeats(pages), 64)
    assert PUBLISHED_MISSES.get(program, misses) == misses
    for mode in ("native", "nested"):
        assert (len(pages), len(pages) - misses, 0, misses) == replay(program, mode, CacheShape(64, 64), None, None)


@pytest.mark.parametrize(("program", "touches"), [("sort", None), ("sqlite", PREFIX), ("ls", None)])
def test_a_real_geometry_hits_and_walks_as_lists_per_set_do(program: str, touches: int | None) -> None:
    """64 entries of 4 ways before 1536 of 12: the sizes of Skylake's data TLB and second-level TLB."""
    pages = pages_of(program)[:touches]
    missed, walks = two_level_misses(without_repeats(pages), FIRST, SECOND)
    for mode in ("native", "nested"):
        assert (len(pages), len(pages) - missed, missed - walks, walks) == replay(program, mode, FIRST, SECOND, touches)


def test_an_independent_cache_simulator_counts_the_same() -> None:
    """pycachesim with lines of one byte: its loads of byte p stand for touches of page p."""
    cachesim = pytest.importorskip("cachesim")
    pages = without_repeats(pages_of("sort"))[:300_000]
    memory = cachesim.MainMemory()
    far = cachesim.Cache("L2", SECOND.entries // SECOND.ways, SECOND.ways, 1, "LRU")
    memory.load_to(far)
    memory.store_from(far)
    near = cachesim.Cache("L1", FIRST.entries // FIRST.ways, FIRST.ways, 1, "LRU", store_to=far, load_from=far)
    peer = cachesim.CacheSimulator(near, memory)
    peer.load(pages)
    first, second, _ = peer.stats()
    assert (first["MISS_count"], second["MISS_count"]) == two_level_misses(pages, FIRST, SECOND)
