"""Where memory just suffices a run ends well; one page or frame less, and it says which of the two is missing."""

from __future__ import annotations

import pytest
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
