"""The plan bounds how much a run does, and the bound holds: what is refused for it would have been too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from machines import Case, cases, examples
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.plan import compile_plan, limits
from vmcfg.plan.model import UNLIMITED
from vmcfg.scenario.spec import Phase, Scenario

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


def test_no_run_does_more_than_its_plan_allows(tmp_path: Path) -> None:
    """Whatever the machine, its phases, warm-up and ends."""

    @given(cases(tmp_path))
    @examples(100)
    def is_bounded(case: Case) -> None:
        plan = compile_plan(case.scenario)
        result = simulate(plan, jobs=1)
        assert sum(phase.counters["touches"] for vm in result.vms for phase in vm.phases) <= plan.max_touches

    is_bounded()
