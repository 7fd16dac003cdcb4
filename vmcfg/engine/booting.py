"""Boots and zero-page threads at their due times: so much by now, and no more than the core has time for.

A step is a millisecond, or a slice if that is longer. What a step does not get done, because the core is busy or the
host has to free frames first, the next one does. The vCPUs of a guest wake when it has booted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from vmcfg.engine.paging import free_for
from vmcfg.engine.shortage import out_of_frames_for
from vmcfg.guest.zeroing import zero_at_boot, zero_freed
from vmcfg.jit import pinned
from vmcfg.plan.compile import cycles_of
from vmcfg.plan.model import UNLIMITED, HostPlan
from vmcfg.scenario.spec import PAGE_BYTES
from vmcfg.vmm import machine as at
from vmcfg.vmm.reclaiming import ENOUGH, NO_QUOTA

STEP_NS = 1_000_000
Due = tuple[int, int, Callable[[], object]]


def boot(host: HostPlan, machine: at.Machine, number: int) -> Iterator[Due]:
    """Yield a VM's boot, step by step, until it is over and the VM's vCPUs are awake."""
    plan = host.vms[number].vm
    assert plan.boot
    rate = plan.boot.zeroes
    start = now = cycles_of(plan.start_ns, host.hz)
    end = start + cycles_of(plan.boot.duration_ns, host.hz)
    page = plan.kernel_pages if rate else plan.memory_pages

    def zero(until: int) -> bool:
        nonlocal page
        due = min(plan.memory_pages, plan.kernel_pages + (now - start) * rate // (PAGE_BYTES * host.hz))
        page = int(zero_at_boot(pinned(machine), number, page, due, until)) if page < due else page
        return page < due

    def go_on() -> None:
        _zero_with_frames(host, machine, number, zero)
        if page >= plan.memory_pages and now >= end:
            _wake(host, machine, number, now)

    while page < plan.memory_pages or now < end:
        now += _step(host)
        yield now, number, go_on


def zero_thread(host: HostPlan, machine: at.Machine, number: int) -> Iterator[Due]:
    """Yield the steps of a VM's zero-page thread, which begins with the workload."""
    rate = host.vms[number].vm.zero_thread
    now = rest = left = 0

    def zero(until: int) -> bool:
        nonlocal left
        left = int(zero_freed(pinned(machine), number, left, until))
        return left > 0

    def go_on() -> None:
        nonlocal left, rest
        left, rest = divmod(rest + _step(host) * rate, PAGE_BYTES * host.hz)
        if has_begun(machine, number):
            _zero_with_frames(host, machine, number, zero)

    while True:
        now += _step(host)
        yield now, number, go_on


def has_begun(machine: at.Machine, number: int) -> bool:
    """Tell whether a VM's workload has begun and its guest is up: until then it boots, and it may boot again, or go."""
    guest = machine.guests.vm[number]
    vcpu = machine.vcpu[int(guest[at.FIRST_VCPU])]
    is_up = not guest[at.IS_OFF] and machine.sched[at.NOW] >= guest[at.DOWN_UNTIL]
    return bool(is_up and vcpu[at.PHASE] >= vcpu[at.FIRST_PHASE])


def _step(host: HostPlan) -> int:
    return max(cycles_of(STEP_NS, host.hz), host.slice_cycles)


def _zero_with_frames(host: HostPlan, machine: at.Machine, number: int, zero: Callable[[int], bool]) -> None:
    """Let a guest zero for a step of its core's time; `zero` tells whether anything is left of what is due.

    Raises RunFailed: `out_of_frames`.
    """
    vcpu = int(machine.guests.vm[number, at.FIRST_VCPU])
    until = int(machine.sched[at.NOW]) + _step(host)
    made = ENOUGH
    while made == ENOUGH and zero(until) and machine.host.counts[at.FRAME_FREE] < machine.host.counts[at.RESERVE]:
        made = free_for(machine, vcpu)
    if made == NO_QUOTA:
        raise out_of_frames_for(host, machine, number)


def _wake(host: HostPlan, machine: at.Machine, number: int, now: int) -> None:
    """Let the vCPUs of a VM begin, and its warm-up with them."""
    for vcpu, plan in enumerate(host.vcpus):
        if plan.vm == number:
            machine.vcpu[vcpu, at.WAKE] = now
            if plan.warm_deadline != UNLIMITED:
                machine.vcpu[vcpu, at.WARM_DEADLINE] = now + plan.warm_deadline - plan.wake
