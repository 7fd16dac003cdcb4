"""Accesses of machines whose pages leave memory: watched, they go the same way, and show what the counters count."""

from __future__ import annotations

import pytest
from running import assert_same_state, state_of
from test_pressure_equals_oracle import scenario

from vmcfg.metrics.events import Event
from vmcfg.plan import compile_plan
from vmcfg.plan.model import Plan
from vmcfg.scenario import loads
from vmcfg.trace import Tracer
from vmcfg.trace.paging_steps import Arrive, GuestPageIn, GuestPageOut, Leave, PagingStep, PopBalloon

FIRST, COUNT = 300, 60
EVER = 1 << 40  # more touches than any has


def plan_of(number: int, mode: str) -> Plan:
    return compile_plan(loads(scenario(number, mode, 900)))


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("mode", ["nested", "cached"])
def test_a_watched_machine_under_pressure_is_the_unwatched_one(mode: str, number: int) -> None:
    """With pages that go and come in the middle of an access, and vCPUs that wait for disks before it and after."""
    watched, unwatched = Tracer(plan_of(number, mode), "a"), Tracer(plan_of(number, mode), "a")
    for access in range(FIRST, FIRST + COUNT):
        if watched.access(access) is None:
            break
    for end in (FIRST + COUNT - 1, EVER):
        assert unwatched.approach(end) == watched.approach(end)
        assert_same_state(state_of(unwatched.machine), watched.machine)


SHORT = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: A guest that is short of memory on a host that is too}
seed: 3
run: {accesses: 600}
hosts:
  h:
    memory: 400KiB
    cpu: haswell
    mmu: {mode: nested}
    disks: {ssd: {latency: 20us, bandwidth: 1GiB/s}}
    swap: {size: 2MiB}
    reclaim: {paging: {victim: fifo, batch: 4, read_ahead: 4}}
vms:
  vm:
    {memory: 480KiB, kernel_memory: 32KiB, swap: {size: 2MiB}, reclaim: {victim: clock, keep_free: 32KiB}, workload: w}
workloads:
  w: {phases: [{pattern: {kind: uniform, size: 560KiB}, write: 40%}]}
"""


def test_pages_that_leave_and_come_back_are_shown_as_often_as_they_are_counted() -> None:
    """By the host's doing and by the guest's, touch by touch, and each kind of step at least once."""
    tracer = Tracer(compile_plan(loads(SHORT)))
    seen: set[type] = set()
    for access in range(1, 601):
        before = tracer.machine.counters.sum(axis=0)
        found = tracer.access(access)
        assert found is not None
        counted = tracer.machine.counters.sum(axis=0) - before
        shown = [len(found.all(kind)) for kind in (Arrive, Leave, GuestPageIn, GuestPageOut)]
        came = counted[Event.HOST_PAGE_INS] + counted[Event.HOST_READ_AHEAD]
        gone = counted[Event.HOST_PAGE_OUTS]
        assert shown == [came, gone, counted[Event.GUEST_PAGE_INS], counted[Event.GUEST_PAGE_OUTS]]
        seen |= {kind for kind in PagingStep.__args__ if found.all(kind)}
    assert seen == set(PagingStep.__args__) - {PopBalloon}
