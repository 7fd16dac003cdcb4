"""Who holds a core: vCPUs that wait, those that queue for it, and the head of the queue, which runs."""

from __future__ import annotations

import numpy as np

from vmcfg.digest import SCHEDULE, fold
from vmcfg.hardware.core import flush_combined
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Exit
from vmcfg.mmu.walks import NATIVE, PARAVIRT, SHADOW, SOFTWARE_TLB
from vmcfg.vmm import machine as at
from vmcfg.vmm.large_pages import asked_level, count_backing
from vmcfg.vmm.verbs import violation_cycles, vm_exit


@part
def join_woken(m, core):
    """Queue the vCPUs of this core whose time has come, by (wake time, index)."""
    while True:
        vcpu = _earliest(m, core)
        if vcpu < 0 or m.vcpu[vcpu, at.WAKE] > m.core[core, at.CLOCK]:
            return
        m.vcpu[vcpu, at.STATUS] = at.READY
        m.vcpu[vcpu, at.READY_SINCE] = m.vcpu[vcpu, at.WAKE]
        m.queue[core, m.core[core, at.QUEUED]] = vcpu
        m.core[core, at.QUEUED] += 1


@kernel
def _earliest(m, core):
    """Return the waiting vCPU of this core that wakes first, or -1."""
    earliest = -1
    for vcpu in range(core, m.sched[at.VCPUS], m.sched[at.CORES]):
        is_earlier = earliest < 0 or m.vcpu[vcpu, at.WAKE] < m.vcpu[earliest, at.WAKE]
        if m.vcpu[vcpu, at.STATUS] == at.WAITING and is_earlier:
            earliest = vcpu
    return earliest


@part
def next_wake(m, core):
    """Return when the first waiting vCPU of this core wakes, UNLIMITED if none waits."""
    vcpu = _earliest(m, core)
    return m.vcpu[vcpu, at.WAKE] if vcpu >= 0 else np.int64(at.UNLIMITED)


@part
def pass_idle(m, t_end):
    """Pass over the slices, up to the one that begins at `t_end`, in which no core does anything; return how many.

    All that they would do is to move the clocks of cores whose queues are empty. So the first slice that stays is the
    one in which the head of a queue runs on, or a vCPU wakes. A core inside a turn has not finished its slice.
    """
    s, c = m.sched, m.core
    first = np.int64(at.UNLIMITED)
    for core in range(s[at.CORES]):
        begin = c[core, at.CLOCK]
        if c[core, at.QUEUED] == 0:
            begin = max(begin, next_wake(m, core))
        if begin < s[at.NOW] + s[at.SLICE_CYCLES] or c[core, at.IS_STOPPED]:
            return np.int64(0)
        first = min(first, begin)
    to_end = (t_end - s[at.NOW] + s[at.SLICE_CYCLES] - 1) // s[at.SLICE_CYCLES]
    slices = min((first - s[at.NOW]) // s[at.SLICE_CYCLES], to_end)
    s[at.NOW] += slices * s[at.SLICE_CYCLES]
    for core in range(s[at.CORES]):
        if c[core, at.QUEUED] == 0:
            c[core, at.CLOCK] = max(c[core, at.CLOCK], min(s[at.NOW], s[at.RUN_END]))
    return slices


@part
def give_core(m, core, vcpu):
    """Make the queue's head the running vCPU; after another one this is a switch, which the VMM has to make."""
    clock = m.core[core, at.CLOCK]
    last = m.core[core, at.LAST_RUN]
    row = m.vcpu[vcpu, at.ROW]
    m.counters[row, Event.READY_CYCLES] += clock - m.vcpu[vcpu, at.READY_SINCE]
    m.core[core, at.HEAD] = vcpu
    m.core[core, at.HELD_SINCE] = clock
    m.core[core, at.LAST_RUN] = vcpu
    fold(m.digest, SCHEDULE, (clock << 12) ^ vcpu)
    if last != vcpu and last != at.NOBODY:
        m.counters[row, Event.VCPU_SWITCHES] += 1
        if m.cost[at.MODE] != NATIVE:
            m.core[core, at.CLOCK] += vm_exit(m, core, vcpu, Exit.VCPU_SWITCH, np.int64(0))
        if m.cost[at.MODE] == PARAVIRT or m.cost[at.MODE] == SOFTWARE_TLB:
            flush_combined(m.stores, core)  # no tag tells the VMs apart
    _charge_roots(m, core, vcpu)


@kernel
def _charge_roots(m, core, vcpu):
    """Charge vCPU 0's first turn with the violations that its processes' root tables took before the run."""
    if m.vcpu[vcpu, at.ORDINAL]:
        return
    vm = m.vcpu[vcpu, at.VM]
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    for process in range(first, first + m.guests.vm[vm, at.SLOTS]):
        for field in range(at.ROOT_FRAMES, at.VIEW_FRAMES + 1):
            frames = m.guests.process[process, field]
            if frames:
                m.guests.process[process, field] = 0
                m.core[core, at.CLOCK] += _backing_exit(m, core, vcpu, frames)


@kernel
def _backing_exit(m, core, vcpu, frames):
    """Exit because the page of a guest's table got its frames; return the cycles."""
    if m.cost[at.MODE] == SHADOW:
        return vm_exit(m, core, vcpu, Exit.HIDDEN_FAULT, m.cost[at.HIDDEN_FAULT] + frames * m.cost[at.ZERO_PAGE])
    count_backing(m, vcpu, frames, asked_level(m, m.vcpu[vcpu, at.VM], True))
    return vm_exit(m, core, vcpu, Exit.EPT_VIOLATION_TABLE, violation_cycles(m, frames))


@part
def leave(m, core, vcpu):
    """Take the head, whose work has ended, out of the queue."""
    m.vcpu[vcpu, at.STATUS] = at.FINISHED
    m.sched[at.UNFINISHED] -= 1
    _drop_head(m, core)


@kernel
def must_wait(m, vcpu, clock):
    """Tell whether a device that a vCPU has asked is not done yet; one that is keeps nobody."""
    return m.vcpu[vcpu, at.WAITS_UNTIL] > clock


@part
def wait(m, core, vcpu):
    """Take the head, which must wait for a device, out of the queue until that is done; its last touch ends then."""
    wake = m.vcpu[vcpu, at.WAITS_UNTIL]
    m.vcpu[vcpu, at.WAITS_UNTIL] = 0  # what its kernel does meanwhile need not wait for that
    m.counters[m.vcpu[vcpu, at.ROW], Event.BLOCKED_CYCLES] += wake - m.core[core, at.CLOCK]
    m.marks[m.vcpu[vcpu, at.MARK], at.ENDED] = wake
    m.vcpu[vcpu, at.STATUS] = at.WAITING
    m.vcpu[vcpu, at.WAKE] = wake
    _drop_head(m, core)


@part
def rotate(m, core):
    """Send a head that has held the core for a quantum to the tail, if another waits."""
    c = m.core
    held = c[core, at.CLOCK] - c[core, at.HELD_SINCE]
    if c[core, at.QUEUED] > 1 and c[core, at.HEAD] != at.NOBODY and held >= m.sched[at.QUANTUM]:
        vcpu = m.queue[core, 0]
        _drop_head(m, core)
        m.queue[core, c[core, at.QUEUED]] = vcpu
        c[core, at.QUEUED] += 1
        m.vcpu[vcpu, at.READY_SINCE] = c[core, at.CLOCK]


@kernel
def _drop_head(m, core):
    c = m.core
    c[core, at.HEAD] = at.NOBODY
    c[core, at.QUEUED] -= 1
    for place in range(c[core, at.QUEUED]):
        m.queue[core, place] = m.queue[core, place + 1]
