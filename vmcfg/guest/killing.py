"""Out of memory in a guest: its kernel ends one of its own processes, and what that had is free again.

A guest comes to this when a page is needed, its free list is empty, and reclaim finds nothing: it has no swap area, or
a full one, or nothing is left that could go there. Then somebody has to go. Linux takes whoever gives most: the process
with the most pages in memory, shared ones counted in full; of equal ones here the first. Slots of the swap area come
free with it, and its page tables.

vCPUs that had it loaded switch to the next process of the guest and go on with that. Where none is left they have
nothing more to do: the guest's kernel stays, on the empty tables of the last one, and so does its balloon driver.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import after, next_present
from vmcfg.guest.processes import empty, end_unloaded, next_living, switch
from vmcfg.guest.switching import flush_everywhere, flush_process, interrupt_others
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.privileged import leave_kernel
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below

NOBODY_LEFT, NO_FRAMES = -1, -2  # in place of a process


@entry
def kill(machine, vcpu):
    """End the largest process of a vCPU's guest, at that vCPU's cost.

    Returns its number among those of the guest; NOBODY_LEFT; or NO_FRAMES, if the host has to free some first: under
    shadow paging whoever is loaded instead may need shadow pages.
    """
    m = by_reference(machine)
    vm = m.vcpu[vcpu, at.VM]
    process = _largest(m, vm)
    if process < 0 or m.guests.vm[vm, at.IS_EMPTY]:
        return NOBODY_LEFT
    wanted = m.host.counts[at.RESERVE] * (1 + m.sched[at.VCPUS])
    if m.cost[at.MODE] == at.SHADOW and m.host.counts[at.FRAME_FREE] < wanted:
        m.host.counts[at.WANTED] = wanted
        return NO_FRAMES
    _end(m, vcpu % m.sched[at.CORES], vcpu, process)
    return process - m.guests.vm[vm, at.FIRST_PROCESS]


@part
def _end(m, core, vcpu, process):
    """Take a process away from all vCPUs, and free what it has."""
    vm, row = m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.ROW]
    before = m.guests.vm[vm, at.GUEST_FREE]
    if next_living(m, process) == process:
        cycles = _end_last(m, core, vcpu, process)
    else:
        cycles = _leave_everywhere(m, vm, process)
        cycles += end_unloaded(m, core, vcpu, process)
        for other in range(m.sched[at.VCPUS]):
            if m.vcpu[other, at.VM] == vm:
                flush_process(m, other % m.sched[at.CORES], process)
    m.counters[row, Event.KILLS] += 1
    m.counters[row, Event.KILLED_PAGES] += m.guests.vm[vm, at.GUEST_FREE] - before
    m.core[core, at.CLOCK] += cycles + leave_kernel(m, core, vcpu)


@kernel
def _leave_everywhere(m, vm, process):
    """Switch every vCPU that has a process loaded to the next; return the cycles."""
    cycles = np.int64(0)
    for other in range(m.sched[at.VCPUS]):
        if m.vcpu[other, at.VM] == vm and m.vcpu[other, at.PROCESS] == process:
            cycles += switch(m, other % m.sched[at.CORES], np.int64(other))
    return cycles


@kernel
def _end_last(m, core, vcpu, process):
    """Empty the last process of a guest, whose vCPUs then have nothing more to do; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    cycles = empty(m, core, vcpu, process) + flush_everywhere(m, core, vcpu) + interrupt_others(m, vcpu)
    m.guests.vm[vm, at.IS_EMPTY] = 1
    for other in range(m.sched[at.VCPUS]):
        if m.vcpu[other, at.VM] == vm:
            m.vcpu[other, at.IS_WARM] = 0
            m.vcpu[other, at.LAST_RETIRED] = m.vcpu[other, at.RETIRED]
            m.vcpu[other, at.EVENT_TOUCH] = m.vcpu[other, at.EVENT_TIME] = at.UNLIMITED
    return cycles


@kernel
def _largest(m, vm):
    """Return the living process of a guest that has the most pages in memory, the first of equal ones; -1 if none."""
    largest, most = np.int64(-1), np.int64(-1)
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    for process in range(first, first + m.guests.vm[vm, at.SLOTS]):
        if m.guests.process[process, at.IS_LIVE]:
            pages = _resident_pages(m, vm, process)
            if pages > most:
                largest, most = np.int64(process), pages
    return largest


@part
def _resident_pages(m, vm, process):
    pages = np.int64(0)
    vpn, slot, level = next_present(m, process, np.int64(0), 1)
    while slot >= 0:
        if m.guests.tables[slot] & at.PRESENT:
            pages += pages_below(level)
        vpn, slot, level = next_present(m, process, after(m, vm, vpn, level), 1)
    return pages
