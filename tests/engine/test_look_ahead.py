"""Looking ahead asks for memory and for nothing else: forced on and forced off, every byte is the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from machines import Case, cases, examples
from running import assert_same_state, is_over, machines_of, state_of

from vmcfg.engine import loop
from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at


def run_in_stretches(host: HostPlan, machine: at.Machine, looks_ahead: bool) -> None:
    """Run slice by slice, deciding at the begin of each what the last stretch would have decided."""
    runner = loop.Runner(machine)
    while not is_over(host, machine):
        machine.vcpu[:, at.IS_WALK_HEAVY] = looks_ahead
        runner.run(min(int(machine.sched[at.NOW]) + 1, host.run_end))


def test_looking_ahead_changes_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also where what lies ahead is not mapped yet."""

    @given(cases(tmp_path_factory.mktemp("traces")))
    @examples(40)
    def same(case: Case) -> None:
        for (host, near), (_, far) in zip(machines_of(case.scenario), machines_of(case.scenario), strict=True):
            run_in_stretches(host, near, looks_ahead=False)
            run_in_stretches(host, far, looks_ahead=True)
            assert_same_state(state_of(near), far)

    same()
