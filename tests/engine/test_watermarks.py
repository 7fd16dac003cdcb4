"""A host that pages ahead of need, between two marks: what it keeps free, who waits then, and what that costs."""

from __future__ import annotations

from running import simulate_checked
from test_pressure_equals_oracle import figures

from vmcfg.allocation.watermarks import Watermarks
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

FRAMES = 512
TEXT = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Ahead}}
run: {{accesses: {accesses}, epoch: 1ms, slice: 100us}}
hosts:
  h:
    memory: 2MiB
    cpu: haswell
    mmu: {{mode: nested}}
    disks: {{ssd: {{latency: 100us, bandwidth: 1GiB/s, seek: 0s}}}}
    swap: {{size: {swap}}}
    reclaim: {{paging: {{victim: fifo, batch: 16{marks}}}}}
vms:
{vms}
workloads:
  w: {{phases: [{{pattern: {{kind: sequential, size: 6MiB}}, rate: 50000/s}}]}}
  small: {{phases: [{{pattern: {{kind: sequential, size: 256KiB}}, rate: 50000/s}}]}}
"""
MARKS = ", watermarks: {start_below: 10%, stop_above: 20%, every: 200us}"
LOWER, UPPER = FRAMES // 10, FRAMES // 5
ONE = "  a: {memory: 8MiB, kernel_memory: 32KiB, workload: w}"
TWO = ONE + "\n  b: {memory: 8MiB, kernel_memory: 32KiB, workload: small}"


def run(marks: str = MARKS, accesses: int = 1500, swap: str = "32MiB", vms: str = ONE) -> RunResult:
    return simulate_checked(compile_plan(loads(TEXT.format(marks=marks, accesses=accesses, swap=swap, vms=vms))))


def total(result: RunResult, counter: str, vm: int = 0) -> int:
    return sum(phase.counters[counter] for phase in result.vms[vm].phases)


def test_the_policy_begins_below_the_lower_mark_and_ends_at_the_upper_one() -> None:
    """Between the marks it does what it did before: nothing on the way down, the rest on the way up."""
    policy = Watermarks(start_below=4, stop_above=10)
    wanted = [policy.wanted(free) for free in (12, 10, 6, 4, 3, 5, 9, 10, 9, 4, 0)]
    assert wanted == [0, 0, 0, 0, 7, 5, 1, 0, 0, 0, 10]


def test_nobody_waits_for_a_write_where_the_host_has_begun_in_time() -> None:
    """1500 first touches in 512 frames: as many pages must go, and each touch finds a frame that is free already."""
    ahead, on_demand = run(), run(marks="")
    assert 0 == total(ahead, "blocked_cycles") < total(on_demand, "blocked_cycles")
    assert total(ahead, "paged_ahead") == total(ahead, "host_page_outs") > 1000
    assert 0 == total(on_demand, "paged_ahead")


def test_free_memory_ends_between_the_marks_or_a_batch_above() -> None:
    """What one look sends out reaches the upper mark with its last batch of 16, and ten touches come until the next."""
    frames = run().hosts[0].frames
    assert LOWER - 10 <= frames["free"] + frames["reserved"] < UPPER + 16


def test_whoever_holds_most_is_paged_first() -> None:
    """A guest of 64 pages beside one that grows holds less than an equal part, and gives nothing."""
    result = run(vms=TWO)
    assert total(result, "host_page_outs", vm=1) == 0 < total(result, "paged_ahead", vm=0)


def test_two_that_grow_alike_send_no_batch_beyond_the_mark() -> None:
    """Each is to give a half of what is wanted, and the first one's whole batch may be all of it: as in the oracle."""
    vms = ONE + ONE.replace("  a:", "\n  b:")
    found = figures(TEXT.format(marks=MARKS, accesses=900, swap="32MiB", vms=vms))
    assert found["a 1 paged_ahead"] > 0 < found["b 1 paged_ahead"]


def test_a_full_swap_area_ends_paging_ahead_and_nothing_else() -> None:
    """All 250 slots are taken ahead; later touches are served from what is left, as far as that goes."""
    result = run(swap="1000KiB", accesses=700)
    assert 250 == total(result, "paged_ahead") == result.vms[0].pages["swapped"]


def test_marks_that_are_never_reached_change_nothing() -> None:
    """Looking costs no cycle: all counters, exits and times are those of a host that never looks."""
    assert run(accesses=300).vms == run(marks="", accesses=300).vms
