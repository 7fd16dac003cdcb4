"""Where a run is interrupted and looked at leaves no trace: neither in the interleaving nor in any array."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import Case, cases, examples
from oracle import tiny
from running import assert_same_state, is_over, machines_of, run_to_the_end, state_of

from vmcfg.engine import loop
from vmcfg.engine.room import UNTIL
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import Scenario
from vmcfg.vmm import machine as at

Drive = Callable[[HostPlan, at.Machine], None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


def same_bytes_as_in_one_go(scenario: Scenario, drive: Drive) -> None:
    """Each host, driven to its end by `drive`, is what one call makes of it."""
    for (host, whole), (_, parts) in zip(machines_of(scenario), machines_of(scenario), strict=True):
        run_to_the_end(host, whole)
        drive(host, parts)
        assert_same_state(state_of(whole), parts)


def test_splitting_a_run_at_any_due_times_gives_the_same_bytes(folder: Path) -> None:
    """Due times need not be ends of slices: they are rounded up to them."""

    @given(cases(folder), st.lists(st.integers(1, 5000), min_size=1, max_size=20))
    @examples(60)
    def same(case: Case, steps: list[int]) -> None:
        def drive(host: HostPlan, machine: at.Machine) -> None:
            for step in steps:
                loop.run(machine, min(int(machine.sched[at.NOW]) + step, host.run_end))
            run_to_the_end(host, machine)

        same_bytes_as_in_one_go(case.scenario, drive)

    same()


def test_stopping_after_any_touch_of_any_vcpu_gives_the_same_bytes(folder: Path) -> None:
    """The same call goes on inside the same turn, also where other vCPUs have woken meanwhile."""

    @given(cases(folder), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 40)), min_size=1, max_size=20))
    @examples(60)
    def same(case: Case, stops: list[tuple[int, int]]) -> None:
        def drive(host: HostPlan, machine: at.Machine) -> None:
            for number, more in stops:
                vcpu = number % len(host.vcpus)
                stop_after(host, machine, vcpu, int(machine.vcpu[vcpu, at.RETIRED]) + more)
            run_to_the_end(host, machine)

        same_bytes_as_in_one_go(case.scenario, drive)

    same()


def test_a_vcpu_that_wakes_while_a_turn_is_stopped_joins_at_the_next_turn() -> None:
    """b starts in the middle of a's turn; stopping a behind that moment must not let b in earlier."""
    vms = (tiny.vm_at_start("a"), tiny.vm_at_start("b", start_ns=150))
    runs = tiny.workload(tiny.phase(accesses=400), pages=1)
    on = tiny.host(quantum_ns=1001)
    scenario = tiny.scenario(*vms, on=on, runs=runs, run=tiny.timing(slice_ns=2000))

    def drive(host: HostPlan, machine: at.Machine) -> None:
        stop_after(host, machine, 0, 300)
        run_to_the_end(host, machine)

    same_bytes_as_in_one_go(scenario, drive)


def stop_after(host: HostPlan, machine: at.Machine, vcpu: int, touches: int) -> None:
    """Run until the vCPU has retired so many touches, to the last one, or until the run is over."""
    why = loop.run(machine, host.run_end, vcpu, touches)
    if why == UNTIL:
        assert touches == machine.vcpu[vcpu, at.RETIRED]
    else:
        assert is_over(host, machine)
