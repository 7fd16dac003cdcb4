"""The log of modified pages beyond what fits into it: random machines are too small to fill one."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from machines import Case
from oracle import tiny
from test_engine_equals_oracle import differences, figures_of_engine, figures_of_oracle, of_oracle

from vmcfg.engine import simulate
from vmcfg.metrics.result import PhaseResult
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import Scenario
from vmcfg.trace import Tracer, steps

TABLES = 4  # of the guest; a walk that reads one sets D of its page
FEATURES = ("ept", "ept_ad", "pml", "vpid")


def scenario(pages: int, write_ppm: int = 1_000_000, vpid: bool = True, kinds: str = "all", **cpu: Any) -> Scenario:
    """Two passes over some pages, everything there from the start."""
    on = tiny.host(cpu=tiny.processor(features=FEATURES, **cpu), vpid=vpid)
    on = evolve(on, mmu=evolve(on.mmu, pml=True, nested_caches=kinds))
    runs = tiny.workload(tiny.phase(accesses=2 * pages, write_ppm=write_ppm), pages=pages)
    return tiny.scenario(tiny.vm_at_start(memory_pages=1400), on=on, runs=runs)


def run(asked: Scenario) -> PhaseResult:
    return simulate(compile_plan(asked)).vms[0].phases[1]


@pytest.mark.parametrize(("logged", "exits"), [(511, 0), (512, 0), (513, 1)])
def test_the_513th_page_is_the_first_that_finds_the_log_full(logged: int, exits: int) -> None:
    """An exit costs 1000 cycles, reading the log 180; the walk that was given up had read all but the last entry."""
    found = run(scenario(logged - TABLES))
    assert (logged, (exits, 1180 * exits)) == (found.counters["pages_logged"], found.exits["pml_full"])
    assert 24 * exits == found.counters["fault_refs"]


def test_what_is_read_is_not_logged_but_needs_room_all_the_same() -> None:
    """Loads set A. 508 stores fill the log, the load of another page sets no D, and has to wait for room."""
    stores, loads = tiny.phase(accesses=508, write_ppm=1_000_000), tiny.phase(accesses=1, region=1)
    plain = scenario(508)
    (vm_runs,) = plain.workloads
    first = vm_runs.regions[0]
    regions = (first, evolve(first, name="s", base_vpn=first.base_vpn + 508, pages=1))
    both = evolve(plain, workloads=(evolve(vm_runs, regions=regions, phases=(stores, loads)),))
    phases = simulate(compile_plan(both)).vms[0].phases
    assert [(512, (0, 0)), (0, (1, 1180))] == [(p.counters["pages_logged"], p.exits["pml_full"]) for p in phases[1:]]


CACHES = {"l1_tlb": tiny.cache(8), "l2_tlb": tiny.cache(2048, 16), "nested_tlb": tiny.cache(16)}


@pytest.mark.parametrize("vpid", [True, False])
def test_logs_that_overflow_again_and_again_are_the_oracles(vpid: bool) -> None:
    """Pages read in part before they are written, so that dirty walks find the log full too, in TLBs that an exit may
    empty. The first pass logs some 880 pages, the second 80 % of the rest."""
    asked = scenario(1100, 800_000, vpid, "2d_nested_tlb_data", **CACHES)
    case = Case(asked, {})
    engine = figures_of_engine(simulate(compile_plan(asked), check_invariants=True))
    assert {} == differences(figures_of_oracle(case, of_oracle(case)), engine)
    assert 2 == engine["a 1 exits pml_full"]


def test_the_trace_shows_the_exit_and_both_walks() -> None:
    """The walk for the 513th page is given up, the log is read, and the page is the first in it: at index 511."""
    access = Tracer(compile_plan(scenario(509))).access(509)
    assert access is not None
    assert ["log_full", "complete"] == [walk.end for walk in access.all(steps.Walk)]
    assert ["pml_full"] == [exit_.reason for exit_ in access.all(steps.Exit)]
    assert [511] == [logged.index for logged in access.all(steps.LogPage)]
