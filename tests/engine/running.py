"""A machine built by hand and driven step by step: what `simulate` does in one go, for tests that look inside."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from vmcfg.api import rates
from vmcfg.engine import loop, simulate
from vmcfg.engine.build import build
from vmcfg.engine.room import ALL_FINISHED, DONE
from vmcfg.metrics import checks
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.plan.model import HostPlan, Plan
from vmcfg.scenario.spec import Scenario
from vmcfg.vmm import machine as at
from vmcfg.workload.inputs import load_inputs

HINTS = {at.IS_WALK_HEAVY}  # of a vCPU's fields: when to look ahead, and nothing depends on it


def simulate_checked(plan: Plan) -> RunResult:
    """Simulate with all invariants checked at each epoch's end, and at the end the sums that tie counters together."""
    result = simulate(plan, check_invariants=True, jobs=1)
    checks.check(result, rates(plan))
    return result


def machines_of(scenario: Scenario) -> list[tuple[HostPlan, at.Machine]]:
    """Return each host with its machine at t = 0."""
    plan = compile_plan(scenario)
    return [
        (host, build(host, scenario.seed, load_inputs(phase.trace for phase in host.phases if phase.trace)))
        for host in plan.hosts
    ]


def run_to_the_end(host: HostPlan, machine: at.Machine) -> None:
    """Run until all work is done, or to the end of the run."""
    why = loop.run(machine, host.run_end)
    assert why in (DONE, ALL_FINISHED)


def is_over(host: HostPlan, machine: at.Machine) -> bool:
    return machine.sched[at.UNFINISHED] == 0 or machine.sched[at.NOW] >= host.run_end


def state_of(machine: at.Machine) -> dict[str, np.ndarray]:
    """Return a copy of every array of a machine by its dotted name: no hints, no calls, no lines noted before."""
    arrays = {name: array.copy() for name, array in arrays_of("", machine)}
    arrays["vcpu"][:, sorted(HINTS)] = 0
    for name in ("work.ahead", "work.hints", "answers", "asked", "data_caches.lines"):
        del arrays[name]
    return arrays


def assert_same_state(expected: dict[str, np.ndarray], machine: at.Machine) -> None:
    """Every array is the same, to the last byte."""
    found = state_of(machine)
    assert expected.keys() == found.keys()
    assert [] == [name for name in expected if expected[name].tobytes() != found[name].tobytes()]


def arrays_of(prefix: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """Yield each array of a machine, or of a part of it, with its dotted name."""
    for name, field in zip(value._fields, value, strict=True):
        if isinstance(field, tuple):
            yield from arrays_of(f"{prefix}{name}.", field)
        else:
            yield prefix + name, field
