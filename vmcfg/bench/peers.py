"""Peers on the same input: equal counts first, then the ratio of their times. Both are optional (extra `bench`).

pycachesim simulates set-associative caches; with lines of one page it is a TLB. It gets the pages as a list, in
one call; vmcfg replays them as a trace, and does on each miss the page walk that the peer does not know. Reading
and interning the trace is reported apart.
"""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from attrs import frozen

from vmcfg.bench.yardsticks import places
from vmcfg.engine import loop
from vmcfg.engine.access import ALL_FINISHED
from vmcfg.engine.build import build
from vmcfg.metrics.events import Event
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.vmm import machine as at
from vmcfg.workload.inputs import load_inputs

PAGE_BYTES = 4096
ACCESSES = 4_000_000

SCENARIO = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: peer}}
run: {{accesses: all}}
hosts:
  bench:
    memory: 1GiB
    cpu: {{profile: cascade_lake, walk_caches: none, tlb: {{l1: {{entries: {entries}, ways: {ways}}}, l2: none}}}}
    mmu: {{mode: native}}
vms:
  vm: {{memory: 512MiB, workload: replay, populate: at_start}}
workloads:
  replay: {{phases: [{{trace: {{file: pages.u64, format: u64}}}}]}}
"""


@frozen
class Race:
    """One input for one geometry: misses and seconds of vmcfg and of the peer."""

    name: str
    peer: str
    misses: int
    peer_misses: int
    seconds: float
    load_seconds: float
    peer_seconds: float


def races() -> Iterator[Race]:
    """Race against every peer that is installed; yields nothing where none is."""
    if importlib.util.find_spec("cachesim") is None:
        return
    hot, cold, hundredths = places(400, ACCESSES, 1), places(60_000, ACCESSES, 2), places(100, ACCESSES, 3)
    pages = np.where(hundredths < 95, hot, cold).astype("<u8")
    for sets, ways in ((64, 8), (16, 4), (1024, 16)):
        yield _race(pages, sets, ways)


def _race(pages: np.ndarray, sets: int, ways: int) -> Race:
    with tempfile.TemporaryDirectory() as folder:
        pages.tofile(Path(folder) / "pages.u64")
        misses, seconds, load_seconds = _ours(Path(folder), sets, ways)
    peer_misses, peer_seconds = _theirs(pages.tolist(), sets, ways)
    name = f"{sets} sets × {ways} ways, LRU"
    return Race(name, "pycachesim", misses, peer_misses, seconds, load_seconds, peer_seconds)


def _ours(folder: Path, sets: int, ways: int) -> tuple[int, float, float]:
    """Return (misses, seconds simulating, seconds loading), the better of two runs."""
    plan = compile_plan(loads(SCENARIO.format(entries=sets * ways, ways=ways), directory=folder))
    best: tuple[int, float, float] | None = None
    for _ in range(3):
        started = time.perf_counter()
        inputs = load_inputs(phase.trace for phase in plan.hosts[0].phases if phase.trace)
        loaded = time.perf_counter()
        machine = build(plan.hosts[0], 0, inputs)
        built = time.perf_counter()
        assert loop.run(machine, at.UNLIMITED) == ALL_FINISHED
        seconds = time.perf_counter() - built
        if best is None or seconds < best[1]:
            best = int(machine.counters[:, Event.WALKS].sum()), seconds, loaded - started
    assert best
    return best


def _theirs(pages: list[int], sets: int, ways: int) -> tuple[int, float]:
    import cachesim

    best = float("inf")
    for _ in range(2):
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
