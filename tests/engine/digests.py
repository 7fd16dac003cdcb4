"""Runs a handful of scenarios and prints what they leave behind, as JSON: compared between processes.

python digests.py FOLDER        the trace file is written into FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

import attrs
from engine.workloads import write_records
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.jit import PLAIN
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import CacheShape, DataCache, DataCaches, Mmu, Scenario


def scenarios(folder: Path) -> dict[str, Scenario]:
    """All modes, patterns and kinds of caches, at a size that plain Python finishes in seconds."""
    real = tiny.processor(
        features=("ept", "ept_ad", "vpid"),
        l1_tlb=CacheShape(16, 4),
        l2_tlb=CacheShape(96, 12),
        guest_walk_caches={2: CacheShape(8, 4), 3: CacheShape(2, 2)},
        host_walk_caches={2: CacheShape(8, 4)},
        nested_tlb=CacheShape(16, 16),
        walkers=2,
    )
    odd = tiny.processor(l1_tlb=CacheShape(51, 17), l1_itlb=CacheShape(6, 2), l2_tlb=CacheShape(64, 64))
    caches = DataCaches(DataCache(4 * 2 * 64, 2, 4), DataCache(3 * 8 * 64, 8, 14), DataCache(5 * 20 * 64, 20, 54), 200)
    cached = attrs.evolve(real, data_caches=caches)
    phases = (
        tiny.phase("zipf", alpha="0.99", order="scattered", write_ppm=300_000, accesses=700),
        tiny.phase("hot_cold", hot_pages=20, hot_share_ppm=900_000, rate=100_000, accesses=300),
        tiny.phase("uniform", write_ppm=500_000, accesses=500),
    )
    patterns = tiny.workload(*phases, pages=1500)
    dice = Random(1)
    trace = write_records(folder, [(int(dice.paretovariate(0.4)) % 5000, dice.randrange(3)) for _ in range(1500)])
    records = tiny.workload(tiny.phase(pattern=None, trace=attrs.evolve(trace, repeat=2)), pages=0)
    slices = tiny.timing(epoch_ns=50_000, slice_ns=10_000)
    vms = (tiny.vm("a", memory_pages=3000), tiny.vm("b", memory_pages=3000, start_ns=90_000, vcpus=2))
    native = tiny.vm("a", memory_pages=6000, backing="at_start")
    untagged = tiny.host(cpu=real, quantum_ns=50_000, mmu=Mmu("nested", 4096, False))
    return {
        "patterns nested": tiny.scenario(*vms, on=tiny.host(cpu=real, cores=2), runs=patterns, run=slices),
        "patterns untagged": tiny.scenario(*vms, on=untagged, runs=patterns, run=slices, seed=7),
        "patterns, data caches": tiny.scenario(*vms, on=tiny.host(cpu=cached, cores=2), runs=patterns, run=slices),
        "native, data caches": tiny.scenario(native, on=tiny.host("native", cpu=cached), runs=patterns, run=slices),
        "patterns native": tiny.scenario(native, on=tiny.host("native", cpu=real), runs=patterns, run=slices),
        "trace nested": tiny.scenario(tiny.vm(memory_pages=9000), on=tiny.host(cpu=odd), runs=records, run=slices),
        "trace native": tiny.scenario(native, on=tiny.host("native", cpu=odd), runs=records, run=slices),
    }


def results(folder: Path) -> dict[str, Any]:
    """Counters, times, pages, frames and every checkpoint of every scenario; no real time."""
    found = {name: attrs.asdict(simulate(compile_plan(each))) for name, each in scenarios(folder).items()}
    for result in found.values():
        del result["seconds_simulating"]
    return found


if __name__ == "__main__":
    print(json.dumps({"is_plain": PLAIN, "results": results(Path(sys.argv[1]))}))
