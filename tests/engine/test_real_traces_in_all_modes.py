"""Real programs in every MMU mode: what TLBs, walk caches and the nested TLB hit, and what walks, as the oracle has it.

The oracle knows no hypercalls and no misses that software answers: to those two modes its `native` applies, whose TLBs
see the same accesses. Where software fills the TLB it is software that grants stores, by another miss: there all are
loads, and `test_software_tlb` has the rest.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from attrs import evolve
from oracle import run as run_oracle
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import Cpu, Host, Scenario, ShadowPaging, Trace
from vmcfg.workload.traces import read

DATA = Path(__file__).parents[2] / "scenarios" / "data"
RECORDS = 60_000  # of each program: the oracle is plain Python
TRACES = {
    "sort": Trace("sort", DATA / "sort.u32.zst", "records", "sort.vpn", DATA / "sort.vpn.gz"),
    "sqlite": Trace("sqlite", DATA / "sqlite.u32.zst", "records", "sqlite.vpn", DATA / "sqlite.vpn.gz"),
    "ls": Trace("ls", DATA / "ls.lackey.xz", "lackey"),
}
LOOKUPS = ("touches", "l1_hits", "stlb_hits", "walks", "guest_faults", "gpt_writes", "guest_table_pages")
WALKS = (
    *LOOKUPS, "dirty_walks", "guest_refs", "host_refs", "walk_refs", "fault_refs", "dirty_refs",
    "guest_walk_cache_hits", "host_walk_cache_hits", "nested_tlb_hits",
)  # fmt: skip
MODES = {
    "native": WALKS,
    "nested": WALKS,
    "virtual_tlb": WALKS,
    "cached": WALKS,
    "unsync": WALKS,
    "paravirt": WALKS,
    "software_tlb": LOOKUPS,
}


def processor() -> Cpu:
    """Caches so small that real programs miss them all."""
    return tiny.processor(
        l1_tlb=tiny.cache(16, 4), l2_tlb=tiny.cache(96, 6), guest_walk_caches={2: tiny.cache(8, 2), 3: tiny.cache(4)},
        host_walk_caches={2: tiny.cache(8, 4), 3: tiny.cache(2)}, nested_tlb=tiny.cache(12, 3),
    )  # fmt: skip


def host(mode: str) -> Host:
    """A host of a mode, or of `shadow` in a variant."""
    if mode in ("native", "nested", "paravirt", "software_tlb"):
        return tiny.host(mode, cpu=processor())
    on = tiny.host("shadow", cpu=processor())
    return evolve(on, mmu=evolve(on.mmu, shadow=ShadowPaging(mode, True, False, 0, 3)))


def replaying(trace: Trace, mode: str) -> Scenario:
    pages = {"backing": "at_start"} if mode in ("native", "paravirt") else {}
    phase = tiny.phase(pattern=None, trace=trace, accesses=RECORDS)
    return tiny.scenario(tiny.vm(memory_pages=20_000, **pages), on=host(mode), runs=tiny.workload(phase, pages=0))


def records(trace: Trace) -> list[tuple[int, int]]:
    data = read(trace)
    kept = data.records[:RECORDS]
    return list(zip(data.vpns[kept >> 2].tolist(), (kept & 3).tolist(), strict=True))


def only_loads(trace: Trace, folder: Path) -> Trace:
    """The same pages, written as a trace of loads."""
    path = folder / "loads.u64"
    path.write_bytes(np.array([vpn for vpn, _ in records(trace)], "<u8").tobytes())
    return Trace("loads", path, "u64")


@pytest.mark.slow
@pytest.mark.parametrize("program", TRACES)
@pytest.mark.parametrize("mode", MODES)
def test_a_real_program_is_translated_as_the_oracle_translates_it(program: str, mode: str, tmp_path: Path) -> None:
    """Every count of the lookups and of the walks' caches, to the last one, by demand faults from an empty memory."""
    trace = only_loads(TRACES[program], tmp_path) if mode == "software_tlb" else TRACES[program]
    engine = simulate(compile_plan(replaying(trace, mode))).vms[0].phases[1].counters
    known = "native" if mode in ("paravirt", "software_tlb") else mode
    oracle = run_oracle(replaying(trace, known), {trace.file: records(trace)}).counters["a"][1]
    assert {name: oracle[name] for name in MODES[mode]} == {name: engine[name] for name in MODES[mode]}
    assert 0 not in (oracle["stlb_hits"], oracle["walks"], oracle["guest_faults"])
