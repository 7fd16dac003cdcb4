"""A machine whose accesses were watched is the machine that simulated them compiled: every array, every counter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from engine.machines import Case, cases, examples
from hypothesis import given
from hypothesis import strategies as st

from vmcfg.plan import compile_plan
from vmcfg.plan.model import Plan
from vmcfg.trace import Tracer
from vmcfg.vmm import machine as at

EVER = 1 << 40  # more touches than any example has


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


def arrays(machine: Any, name: str = "machine") -> Iterator[tuple[str, np.ndarray]]:
    """All arrays of a machine by name, but for where looking ahead may pay, calls of entries and lines noted before."""
    for field, value in zip(machine._fields, machine, strict=True):
        if isinstance(value, tuple):
            yield from arrays(value, f"{name}.{field}")
        elif field == "vcpu":
            yield f"{name}.{field}", np.delete(value, at.IS_WALK_HEAVY, axis=1)
        elif field not in ("ahead", "hints", "answers", "asked", "lines"):
            yield f"{name}.{field}", value


def differing(one: at.Machine, other: at.Machine) -> list[str]:
    pairs = zip(arrays(one), arrays(other), strict=True)
    return [name for (name, left), (_, right) in pairs if not np.array_equal(left, right)]


def pick(plan: Plan, number: int) -> tuple[str, int]:
    """Return the VM and the ordinal of one of all vCPUs."""
    vcpus = [(host.vms[vcpu.vm].vm.name, vcpu.ordinal) for host in plan.hosts for vcpu in host.vcpus]
    return vcpus[number % len(vcpus)]


@pytest.mark.slow
def test_a_watched_machine_is_the_unwatched_one(folder: Path) -> None:
    """After any accesses of any vCPU, and at the end of the run, on machines that nobody would configure."""

    @given(cases(folder), st.integers(0, 11), st.integers(1, 120), st.integers(1, 25))
    @examples(60)
    def is_equal(case: Case, vcpu: int, first: int, count: int) -> None:
        plan = compile_plan(case.scenario)
        watched = Tracer(plan, *pick(plan, vcpu))
        unwatched = Tracer(plan, *pick(plan, vcpu))
        for number in range(first, first + count):
            if watched.access(number) is None:
                break
        for end in (first + count - 1, EVER):
            assert unwatched.approach(end) == watched.approach(end)
            assert [] == differing(unwatched.machine, watched.machine)

    is_equal()


def test_watching_every_access_of_a_run_is_the_run() -> None:
    """Not only some accesses: all 400 of the small VM, from its first touch to its last."""
    plan = compile_plan(small())
    watched, unwatched = Tracer(plan), Tracer(plan)
    for number in range(1, 401):
        assert watched.access(number) is not None
    assert watched.access(401) is None
    unwatched.approach(EVER)
    assert [] == differing(unwatched.machine, watched.machine)


def small() -> Any:
    import vmcfg

    return vmcfg.load(Path(__file__).with_name("small.yaml")).scenario
