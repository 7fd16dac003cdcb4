"""What happens at its time, whatever the guests do: epochs, boots, rounds of dirty logging, balloons, write-back.

A time is rounded up to the end of the slice that it falls into; what is due at the same time happens in the order of
priority, then of declaration. So none of it changes how vCPUs interleave within a slice.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from vmcfg.engine.booting import boot, has_begun, zero_thread
from vmcfg.engine.dirty_rounds import Rounds
from vmcfg.engine.kills import Kills
from vmcfg.engine.paging import Ahead, free_for
from vmcfg.engine.shortage import out_of_frames_for
from vmcfg.guest.balloon import poll, touch_balloon
from vmcfg.guest.reclaim import NO_FRAMES, NOTHING_LEFT
from vmcfg.guest.reporting import blocks_to_report, report
from vmcfg.guest.write_back import LACKS_FRAMES, write_back
from vmcfg.jit import pinned
from vmcfg.metrics.result import BALLOON
from vmcfg.plan.compile import cycles_of
from vmcfg.plan.model import HostPlan, VmPlan
from vmcfg.scenario.spec import Balloon
from vmcfg.vmm import machine as at
from vmcfg.vmm.reclaiming import ENOUGH, NO_QUOTA

Action = Callable[[], object]
Due = tuple[int, int, Action]  # cycles, priority, what


def schedule(
    host: HostPlan, machine: at.Machine, repeated: Sequence[tuple[int, Action]], rounds: Rounds, kills: Kills
) -> Iterator[Due]:
    """Yield all that is due on a host, in order.

    The host's own paging comes after what concerns VMs, for drivers may have won what it wants. What is `repeated`,
    each so many nanoseconds, comes last among what is due at the same time: epochs and samples.
    """
    vms = len(host.vms)
    streams = [_every(period, host.hz, vms + 1, action) for period, action in repeated]
    if host.paging and host.paging.watermarks:
        marks = host.paging.watermarks
        streams.append(_every(marks.every_ns, host.hz, vms, Ahead(machine, marks).look))
    for number, plan in enumerate(host.vms):
        if plan.vm.boot:
            streams.append(boot(host, machine, number))
        if plan.vm.zero_thread:
            streams.append(zero_thread(host, machine, number))
        if plan.vm.free_page_reporting:
            turn = partial(report_free_pages, machine, number, plan.vm.free_page_reporting.blocks)
            streams.append(_every(plan.vm.free_page_reporting.every_ns, host.hz, number, turn))
        if plan.vm.balloon:
            streams.append(_balloon(host, machine, kills, number, plan))
        if host.dirty_log:
            streams.append(_every(host.dirty_log.every_ns, host.hz, number, partial(rounds.end, machine, number)))
        if plan.vm.page_cache:
            turn = partial(look_for_dirty_pages, machine, number)
            streams.append(_every(plan.vm.page_cache.flush_every_ns, host.hz, number, turn))
    return heapq.merge(*streams, key=lambda due: due[:2])


def _every(period_ns: int, hz: int, priority: int, action: Action) -> Iterator[Due]:
    count = 0
    while True:
        count += 1
        yield cycles_of(count * period_ns, hz), priority, action


def _balloon(host: HostPlan, machine: at.Machine, kills: Kills, number: int, plan: VmPlan) -> Iterator[Due]:
    """Yield a driver's polls, each with the target at its time, and when the guest touches the balloon."""
    balloon = plan.vm.balloon
    assert balloon

    def polls() -> Iterator[Due]:
        count = 0
        while True:
            count += 1
            target = _target(balloon, count * balloon.poll_ns)
            yield cycles_of(count * balloon.poll_ns, host.hz), number, partial(contact, machine, kills, number, target)

    touches = [
        _touches(host, machine, number, cycles_of(step.at_ns, host.hz))
        for step in balloon.steps
        if step.target_pages is None
    ]
    return heapq.merge(polls(), *touches, key=lambda due: due[:2])


def _touches(host: HostPlan, machine: at.Machine, number: int, now: int) -> Iterator[Due]:
    """Yield a guest's writing to all of its balloon: a slice later it goes on, where it had to wait for frames."""
    touched, is_done = 0, False

    def go_on() -> None:
        nonlocal touched, is_done
        touched, is_done = touch(host, machine, number, touched)

    while not is_done:
        yield now, number, go_on
        now += int(machine.sched[at.SLICE_CYCLES])


def contact(machine: at.Machine, kills: Kills, number: int, target: int) -> None:
    """Let a VM's driver hear its target, unless the guest still boots; what the host lacks for that it frees.

    A guest that cannot bear it may end a process, and the driver goes on.
    """
    vcpu = int(machine.guests.vm[number, at.FIRST_VCPU])
    goes_on = has_begun(machine, number)
    while goes_on:
        why = int(poll(pinned(machine), number, target))
        is_freed = why == NO_FRAMES and free_for(machine, vcpu) == ENOUGH
        goes_on = is_freed or (why == NOTHING_LEFT and kills.kill(vcpu, BALLOON))


def report_free_pages(machine: at.Machine, number: int, most: int) -> None:
    """Let a VM's kernel report blocks that have become free, if there are any."""
    blocks = blocks_to_report(machine, number, most)
    if len(blocks):
        report(pinned(machine), number, blocks)


def look_for_dirty_pages(machine: at.Machine, number: int) -> None:
    """Let a VM's kernel write back what has been dirty for long; what the host lacks for that it frees."""
    vcpu = int(machine.guests.vm[number, at.FIRST_VCPU])
    why = write_back(pinned(machine), number, True)
    while why == LACKS_FRAMES and free_for(machine, vcpu) == ENOUGH:
        why = write_back(pinned(machine), number, False)


def touch(host: HostPlan, machine: at.Machine, number: int, touched: int) -> tuple[int, bool]:
    """Let a guest write to its balloon, of which some is `touched`; return how much is now, and whether that is all.

    Raises RunFailed: `out_of_frames`.
    """
    vcpu = int(machine.guests.vm[number, at.FIRST_VCPU])
    made = ENOUGH
    while made == ENOUGH:
        touched = int(touch_balloon(pinned(machine), number, touched))
        if touched >= machine.guests.vm[number, at.BALLOON_PAGES]:
            return touched, True
        made = free_for(machine, vcpu)
    if made == NO_QUOTA:
        raise out_of_frames_for(host, machine, number)
    return touched, False


def _target(balloon: Balloon, now_ns: int) -> int:
    """Return the pages that a balloon is to hold at a time."""
    said = [step.target_pages for step in balloon.steps if step.target_pages is not None and step.at_ns <= now_ns]
    return min(said[-1], balloon.most_pages)
