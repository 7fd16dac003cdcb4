"""Time in which all wait for a disk: slices with nothing to do cost nothing, and what is done in it has a limit."""

from __future__ import annotations

import pytest
from running import machines_of

from vmcfg.engine import simulate
from vmcfg.engine.drive import Drive
from vmcfg.errors import RunFailed
from vmcfg.plan import compile_plan, limits
from vmcfg.plan.model import HostPlan
from vmcfg.scenario import loads
from vmcfg.scenario.spec import Scenario
from vmcfg.vmm import machine as at

FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: A guest whose host pages to a disk of a kibibyte per second}}
seed: 1
run: {{{run}}}
hosts:
  h:
    memory: 1500KiB
    cores: {cores}
    cpu: haswell
    mmu: {{mode: nested}}
    reclaim: {{paging: {{victim: clock, batch: 8{marks}}}}}
    swap: {{size: 8MiB}}
    disks: {{slow: {{latency: 1ms, bandwidth: 1KiB/s, seek: 0s}}}}
vms:
  a: {{memory: 2MiB, kernel_memory: 32KiB, workload: w, {more}}}
workloads:
  w: {{phases: [{{pattern: {{kind: uniform, size: 1800KiB}}, write: 50%}}]}}
"""
A_PAGE = 4  # seconds
EVERYTHING_DUE = (
    "zero_thread: 1MiB/s, free_page_reporting: {every: 2ms}, balloon: {target: 64KiB, poll: 700us}, "
    "files: {data: {size: 400KiB}}, page_cache: {flush_every: 3ms, flush_after: 3ms}"
)


def scenario(run: str, more: str = "", cores: int = 1, marks: str = "") -> Scenario:
    return loads(FRAME.format(run=run, more=more, cores=cores, marks=marks))


def driven(asked: Scenario) -> tuple[HostPlan, at.Machine]:
    """Return the only host and its machine at the end, with something due at each epoch and each sample."""
    ((host, machine),) = machines_of(asked)
    periods = (asked.run.epoch_ns, asked.run.sample_ns)
    Drive(host, machine, [(period, lambda: None) for period in periods if period]).go()
    return host, machine


def test_waiting_costs_nothing_where_nothing_is_due() -> None:
    """Dozens of pages at 4 s each are millions of slices; those that are gone through are fewer than four per touch."""
    host, machine = driven(scenario("accesses: 900, epoch: 10000h"))
    assert 50 * A_PAGE * host.hz < machine.sched[at.NOW]
    assert machine.sched[at.STEPS] < 4 * 900


def test_a_slice_counts_for_each_core_and_what_is_due_for_a_thousand() -> None:
    """A second core that nobody uses doubles the slices; an epoch in each second adds a thousand times the seconds."""
    host, alone = driven(scenario("accesses: 900, epoch: 10000h"))
    _, beside = driven(scenario("accesses: 900, epoch: 10000h", cores=2))
    _, watched = driven(scenario("accesses: 900, epoch: 1s"))
    slices = int(alone.sched[at.STEPS])
    epochs = int(alone.sched[at.NOW]) // host.hz
    assert 2 * slices == beside.sched[at.STEPS]
    assert slices + epochs * limits.SLICES_PER_STEP == watched.sched[at.STEPS]


@pytest.mark.parametrize("run", ["sample: 300us", "epoch: 300us"])
def test_a_run_that_is_looked_at_while_it_waits_ends_at_its_limit(run: str) -> None:
    """900 touches are far from 10 million, and so are their slices: it is what is due that comes to more."""
    plan = compile_plan(scenario(f"accesses: 900, {run}"))
    limits.refuse_above(plan, most_bytes=1 << 30, most_touches=10**7)
    with pytest.raises(RunFailed, match=r"its work is not done: [^;]*; the limit is 10000000\nuse") as ended:
        simulate(plan, limit_touches=10**7)
    assert "over_limit" == ended.value.code


def test_many_things_due_in_one_slice_are_counted_too() -> None:
    """A sample each microsecond, and slices of ten seconds."""
    plan = compile_plan(scenario("accesses: 900, sample: 1us, slice: 10s, epoch: 1h"))
    with pytest.raises(RunFailed, match="the limit is 1000000\n"):
        simulate(plan, limit_touches=10**6)


def test_what_a_run_by_time_lets_be_due_is_refused_before() -> None:
    """Ten hours of epochs of a microsecond: 36 billion, in time for 23 trillion touches."""
    plan = compile_plan(scenario("duration: 10h, epoch: 1us, slice: 1us"))
    with pytest.raises(RunFailed, match=r"simulate 36000 s [^:]*:\s+0 slices of 1 core, and 36000000000 times"):
        limits.refuse_above(plan, most_bytes=1 << 30, most_touches=30 * 10**12)


def test_the_plan_knows_all_that_is_due() -> None:
    """A stream of due times that it did not know would be counted by the run alone; each may miss its last."""
    marks = ", watermarks: {start_below: 1%, stop_above: 2%, every: 900us}"
    asked = scenario("duration: 20ms, sample: 300us, epoch: 1ms", EVERYTHING_DUE, marks=marks)
    host, machine = driven(asked)
    expected = 66 + 22 + 20 + 20 + 10 + 28 + 6
    assert expected == limits.due_steps(compile_plan(asked), host)
    assert expected - 7 <= machine.sched[at.STEPS] // limits.SLICES_PER_STEP <= expected
