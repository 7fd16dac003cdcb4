"""The plan bounds how much a run does, and the bound holds: what is refused for it would have been too long."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from machines import Case, cases, examples
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.plan import compile_plan, limits
from vmcfg.plan.model import UNLIMITED
from vmcfg.scenario.spec import Phase, Rate, Scenario

MICROSECOND = 1000  # 1000 cycles of the tiny machine's gigahertz; an access costs at least one


def of(*phases: Phase, **run: Any) -> Scenario:
    return tiny.scenario(run=tiny.timing(**run), runs=tiny.workload(*phases))


def test_touches_are_bounded_by_work_and_by_time() -> None:
    """What ends first counts: the phases, the run's accesses, or its time, in which a touch may always begin."""
    three = tiny.phase(accesses=3)
    assert 6 == compile_plan(of(three, three)).max_touches
    assert 4 == compile_plan(of(three, tiny.phase(), accesses=4)).max_touches
    assert 1001 == compile_plan(of(tiny.phase(), duration_ns=MICROSECOND)).max_touches
    assert 1003 + 1 == compile_plan(of(three, tiny.phase(duration_ns=MICROSECOND))).max_touches


def test_a_trace_alone_bounds_nothing(tmp_path: Path) -> None:
    """Until it has been read, nobody knows how long it is; with a number of accesses somebody does."""
    (tmp_path / "t").write_bytes(bytes(8))
    replay = tiny.trace_phase(str(tmp_path / "t"))
    assert (UNLIMITED, 5) == tuple(compile_plan(of(replay, **run)).max_touches for run in ({}, {"accesses": 5}))


def test_a_warm_up_comes_on_top() -> None:
    """Counted in touches or in time, it borrows the first phase, which then begins anew."""
    three = tiny.phase(accesses=3)
    assert 13 == compile_plan(of(three, warmup_touches=10)).max_touches
    assert 1001 + 3 == compile_plan(of(three, warmup_ns=MICROSECOND)).max_touches
    assert 1001 + 4 == compile_plan(of(tiny.phase(), accesses=4, warmup_ns=MICROSECOND)).max_touches


def test_a_long_warm_up_is_refused_as_a_long_run_is() -> None:
    """Ten hours of warm-up before a thousand accesses."""
    plan = compile_plan(of(tiny.phase(), accesses=1000, warmup_ns=36_000 * 10**9))
    with pytest.raises(RunFailed, match="may come to make 36000000001001 touches"):
        limits.refuse_above(plan, most_bytes=1 << 30, most_touches=10**6)


def test_a_schedule_that_nobody_lives_to_see_is_refused() -> None:
    """A hundred touches at one an hour are 360,000 s of slices in which nothing happens; ten of warm-up add 36,000."""
    hourly = evolve(tiny.phase(accesses=100), rate=Rate(1, 3600))
    plan = compile_plan(of(hourly, tiny.phase(accesses=5), warmup_touches=10))
    assert 110 * (3600 * 10**9 + 1) == plan.hosts[0].scheduled_cycles
    with pytest.raises(RunFailed, match=r"may come to simulate 396000 s [^:]*:\s+3960000001 slices of 1 core, and"):
        limits.refuse_above(plan, most_bytes=1 << 30, most_touches=10**9)
    limits.refuse_above(plan, most_bytes=1 << 30, most_touches=10**10)


def test_a_late_start_and_a_slow_trace_draw_a_run_out_too(tmp_path: Path) -> None:
    """Five records twice at a touch a second, after ten seconds; packed, nobody knows how many there are."""
    (tmp_path / "t").write_bytes(bytes(20))
    (tmp_path / "t.gz").write_bytes(gzip.compress(bytes(20)))
    late = tiny.vm(start_ns=10 * 10**9)
    for name, seconds in (("t", 20), ("t.gz", UNLIMITED)):
        runs = tiny.workload(tiny.trace_phase(str(tmp_path / name), repeat=2, rate=1), pages=0)
        found = compile_plan(tiny.scenario(late, runs=runs)).hosts[0].scheduled_cycles
        assert (UNLIMITED if seconds == UNLIMITED else seconds * 10**9 + 10) == found


@pytest.mark.slow
def test_no_run_does_more_than_its_plan_allows(tmp_path: Path) -> None:
    """Whatever the machine, its phases, warm-up and ends."""

    @given(cases(tmp_path))
    @examples(100)
    def is_bounded(case: Case) -> None:
        plan = compile_plan(case.scenario)
        result = simulate(plan, jobs=1)
        assert sum(phase.counters["touches"] for vm in result.vms for phase in vm.phases) <= plan.max_touches

    is_bounded()
