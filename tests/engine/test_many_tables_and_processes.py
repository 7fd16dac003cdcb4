"""More leaf tables out of sync than there are slots, more processes than PCIDs: random machines seldom have so many."""

from __future__ import annotations

import pytest
from attrs import evolve
from machines import Case
from oracle import tiny
from test_engine_equals_oracle import differences, figures_of_engine, figures_of_oracle, in_one_loop, of_oracle

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import (
    CacheShape,
    GuestEvent,
    Mixture,
    Part,
    Pattern,
    Region,
    Scenario,
    ShadowPaging,
    Workload,
)

TABLES = 8


def with_slots(slots: int) -> Scenario:
    """Pages of eight leaf tables that are unmapped one at a time, and touched again; CR3 is never loaded."""
    regions = tuple(Region(f"r{n}", 512 * (n + 2), 3) for n in range(TABLES))
    parts = tuple(Part(1, Pattern("uniform", n)) for n in range(TABLES))
    events = tuple(GuestEvent("munmap", 5 + n, 1, region=n, pages=1) for n in range(TABLES))
    phase = tiny.phase(pattern=Mixture("mixture", -1, parts=parts), accesses=900, write_ppm=400_000, events=events)
    on = tiny.host("shadow")
    on = evolve(on, mmu=evolve(on.mmu, shadow=ShadowPaging("unsync", False, False, 0, slots)))
    return tiny.scenario(on=on, runs=Workload("w", regions, (phase,)))


def with_pcids(pcids: int) -> Scenario:
    """Four processes in turn, and pages of the kernel for all: what a process leaves behind would displace them."""
    events = (GuestEvent("context_switch", 20, 1), GuestEvent("syscall", 19, 1, kernel_pages=3))
    runs = tiny.workload(tiny.phase("uniform", accesses=900, events=events), pages=6)
    cpu = tiny.processor(l1_tlb=CacheShape(10, 10), l2_tlb=CacheShape(64, 16))
    on = tiny.host("native", cpu=cpu)
    on = evolve(on, mmu=evolve(on.mmu, pcid=True))
    vm = tiny.vm(pcids=pcids, backing="at_start", kernel_pages=3)
    return tiny.scenario(vm, on=on, runs=evolve(runs, processes=4, max_processes=4))


def compared(scenario: Scenario) -> dict[str, int]:
    """Return what the engine and the oracle count alike."""
    case = in_one_loop(Case(scenario, {}))
    engine = figures_of_engine(simulate(compile_plan(case.scenario), check_invariants=True, jobs=1))
    assert {} == differences(figures_of_oracle(case, of_oracle(case)), engine)
    return engine


@pytest.mark.slow
def test_slots_for_tables_out_of_sync_are_given_as_the_oracle_gives_them() -> None:
    """By frame, with one displacement; the fewer there are, the more exits they cost."""
    found = [compared(with_slots(slots)) for slots in (1, 2, 3, 5)]
    exits = [each["a 1 exits trace_fault"] for each in found]
    assert sorted(exits, reverse=True) == exits
    assert exits[0] > exits[-1]


@pytest.mark.slow
def test_a_process_whose_pcid_another_takes_leaves_nothing_behind() -> None:
    """Its entries go when its place is taken, not when it comes back; with more places there are fewer walks."""
    walks = [compared(with_pcids(pcids))["a 1 walks"] for pcids in (1, 2, 3, 6)]
    assert sorted(walks, reverse=True) == walks
