"""Where memory just suffices a run ends well; one page or frame less, and it says which of the two is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine.workloads import write_records
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan

PAGES = 600
TABLES = 1 + 1 + 1 + 2  # the root, one table of level 3, one of level 2, two leaf tables for 600 pages from 0x400 on
NEEDED = PAGES + TABLES
EPT_TABLES = 1 + 1 + 1 + 2  # for 605 pages
RESERVE = 20


def touch_all(memory: int, frames: int) -> RunResult:
    """Touch 600 pages once, in a nested VM."""
    runs = tiny.workload(tiny.phase(accesses=PAGES), pages=PAGES)
    on = tiny.host(memory_pages=frames)
    return simulate(compile_plan(tiny.scenario(tiny.vm(memory_pages=memory), on=on, runs=runs)), check_invariants=True)


def test_a_guest_may_use_its_last_page() -> None:
    """Pages and tables fit exactly."""
    assert 0 == touch_all(NEEDED, 10_000).vms[0].pages["guest_free"]


def test_a_guest_without_a_free_page_fails_by_name() -> None:
    """The last touch finds no page; the VM and what to change are named."""
    with pytest.raises(RunFailed, match=r"vm a .* no free page .*vms\.a\.memory") as raised:
        touch_all(NEEDED - 1, 10_000)
    assert "out_of_guest_pages" == raised.value.code


def test_a_host_may_use_all_frames_but_its_reserve() -> None:
    """Before its last page is taken there must be the reserve of 20 free frames; 19 are left behind."""
    result = touch_all(NEEDED, NEEDED + EPT_TABLES + RESERVE - 1)
    assert RESERVE - 1 == result.hosts[0].frames["free"]


def test_a_host_without_its_reserve_fails_by_name() -> None:
    """One frame less: the access does not begin, and host, VM and what to change are named."""
    with pytest.raises(RunFailed, match=r"vm a .* host h .*hosts\.h\.memory") as raised:
        touch_all(NEEDED, NEEDED + EPT_TABLES + RESERVE - 2)
    assert "out_of_frames" == raised.value.code


def populate_trace(folder: Path, memory: int, frames: int) -> RunResult:
    """Map what a trace names before the run: 600 pages that no check of the scenario can know of."""
    first = tiny.BASE_VPN
    trace = write_records(folder, [(first + page, 1) for page in range(PAGES)])
    runs = tiny.workload(tiny.phase(pattern=None, trace=trace), pages=0)
    vm = tiny.vm(memory_pages=memory, populate="at_start")
    scenario = tiny.scenario(vm, on=tiny.host(memory_pages=frames), runs=runs)
    return simulate(compile_plan(scenario), check_invariants=True)


def test_what_a_trace_populates_may_take_the_last_page_and_the_last_frame(tmp_path: Path) -> None:
    """At start nothing is held in reserve, and afterwards nothing is needed."""
    result = populate_trace(tmp_path, NEEDED, NEEDED + EPT_TABLES)
    assert (0, 0) == (result.vms[0].pages["guest_free"], result.hosts[0].frames["free"])


@pytest.mark.parametrize(
    ("pages", "frames", "code"),
    [(NEEDED - 1, NEEDED + EPT_TABLES, "out_of_guest_pages"), (NEEDED, NEEDED + EPT_TABLES - 1, "out_of_frames")],
)
def test_what_a_trace_populates_must_fit(tmp_path: Path, pages: int, frames: int, code: str) -> None:
    """One page or frame less than it takes is said before the run begins."""
    with pytest.raises(RunFailed) as raised:
        populate_trace(tmp_path, pages, frames)
    assert code == raised.value.code
