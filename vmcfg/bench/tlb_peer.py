"""pycachesim simulates set-associative caches; with lines of one page it is a TLB.

It gets the pages as a list, in one call; vmcfg replays them in one of its data caches, in which a line can just as well
be a page. Making an array of the list is reported apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from vmcfg.bench.race import ROUNDS, Race
from vmcfg.bench.yardsticks import places
from vmcfg.engine.data_caches import one_cache
from vmcfg.hardware.data_caches import LINE_BYTES
from vmcfg.hardware.replay import replay
from vmcfg.scenario.spec import DataCache

MODULE = "cachesim"
PAGE_BYTES = 4096
ACCESSES = 4_000_000


def races() -> Iterator[Race]:
    """Race over hot and cold pages, in three geometries."""
    hot, cold, hundredths = places(400, ACCESSES, 1), places(60_000, ACCESSES, 2), places(100, ACCESSES, 3)
    pages = np.where(hundredths < 95, hot, cold)
    for sets, ways in ((64, 8), (16, 4), (1024, 16)):
        yield _race(pages.tolist(), sets, ways)


def _race(pages: list[int], sets: int, ways: int) -> Race:
    misses, seconds, load_seconds = _ours(pages, sets, ways)
    peer_misses, peer_seconds = _theirs(pages, sets, ways)
    name = f"{sets} sets × {ways} ways, LRU"
    return Race(name, "pycachesim", misses, peer_misses, seconds, load_seconds, peer_seconds)


def _ours(pages: list[int], sets: int, ways: int) -> tuple[int, float, float]:
    """Return (misses, seconds replaying, seconds loading), each the best of some rounds after one that compiles."""
    replaying, loading, misses = [], [], 0
    for _ in range(1 + ROUNDS):
        caches = one_cache(DataCache(sets * ways * LINE_BYTES, ways, 0))
        started = time.perf_counter()
        keys = np.array(pages, np.int64)
        loaded = time.perf_counter()
        misses = int(replay(caches, keys))
        replaying.append(time.perf_counter() - loaded)
        loading.append(loaded - started)
    return misses, min(replaying[1:]), min(loading[1:])


def _theirs(pages: list[int], sets: int, ways: int) -> tuple[int, float]:
    import cachesim

    best = float("inf")
    for _ in range(ROUNDS):
        memory = cachesim.MainMemory()
        cache = cachesim.Cache("TLB", sets, ways, PAGE_BYTES, "LRU")
        memory.load_to(cache)
        memory.store_from(cache)
        simulator = cachesim.CacheSimulator(cache, memory)
        addresses = [page * PAGE_BYTES for page in pages]
        started = time.perf_counter()
        simulator.load(addresses, length=1)
        best = min(best, time.perf_counter() - started)
    return int(cache.stats()["MISS_count"]), best
