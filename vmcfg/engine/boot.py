"""What stands before t = 0: EPT roots, backed ranges, processes with their tables. None of it takes time."""

from __future__ import annotations

import numpy as np

from vmcfg.guest.fault import back_if_needed, make_roots_at_no_cost, map_kernel, needs, populate
from vmcfg.guest.pages import unbacked_among_next
from vmcfg.hardware.core import walk_key
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.mmu.paravirt import acquire
from vmcfg.mmu.shadow_answers import enter_root
from vmcfg.mmu.walks import PARAVIRT, kernel_vpn
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import frame_take

NO_PAGES, NO_FRAMES = -1, -2

@entry
def back_range(machine, vm, first, end):
    """Back the guest pages first … end - 1, and first of all give the VM the root of its EPT if it has one."""
    m = by_reference(machine)
    if m.guests.vm[vm, at.HOST_LEVELS] and m.guests.vm[vm, at.EPT_ROOT] < 0:
        _make_ept_root(m, vm)
    for ppn in range(first, end):
        back_if_needed(m, vm, ppn)


@entry
def start_kernel(machine, vm):
    """Map the guest kernel's memory for all processes to come, if anybody accesses it. Returns the tables made."""
    m = by_reference(machine)
    tables = 0
    for ppn in range(m.guests.vm[vm, at.KERNEL_PAGES]):
        tables += map_kernel(m, vm, kernel_vpn(m.guests.vm[vm, at.LEVELS]) + ppn, ppn)
    return tables


@entry
def start_process(machine, process, vpns):
    """Make a process's roots, then map the pages `vpns` (ascending).

    Returns the number of tables made, or below zero what there is too little of: NO_PAGES in the guest, or NO_FRAMES.
    """
    m = by_reference(machine)
    m.guests.process[process, at.IS_LIVE] = 1
    if m.guests.vm[m.guests.process[process, at.PROCESS_VM], at.LEVELS] == 0:
        return 0
    make_roots_at_no_cost(m, process)
    tables = 1 + m.guests.vm[m.guests.process[process, at.PROCESS_VM], at.HAS_KPTI]
    for position in range(vpns.shape[0]):
        lack = _lack(m, process, vpns[position])
        if lack:
            return lack
        tables += populate(m, process, vpns[position])
    if m.cost[at.MODE] == PARAVIRT and m.cost[at.PINS]:
        acquire(m, np.int64(at.NOBODY), process)
    return tables


@entry
def load_first(machine):
    """Let each vCPU have its first process loaded: roots become live that are not pinned, or get a shadow."""
    m = by_reference(machine)
    for vcpu in range(m.sched[at.VCPUS]):
        process = m.vcpu[vcpu, at.PROCESS]
        if m.cost[at.MODE] == PARAVIRT and m.cost[at.PINS] == 0:
            acquire(m, np.int64(at.NOBODY), process)
        if m.cost[at.MODE] == at.SHADOW:
            enter_root(m, vcpu, m.guests.process[process, at.ROOT_TABLE])


@kernel
def _lack(m, process, vpn):
    """Tell what is missing to map a page: 0 if nothing. Checks know what regions take, but not what traces name."""
    vm = m.guests.process[process, at.PROCESS_VM]
    is_plenty = m.host.counts[at.FRAME_FREE] >= m.host.counts[at.RESERVE]
    if is_plenty and m.guests.vm[vm, at.GUEST_FREE] >= m.guests.vm[vm, at.LEVELS]:
        return 0
    pages, _ = needs(m, process, vpn, False)
    if pages > m.guests.vm[vm, at.GUEST_FREE]:
        return NO_PAGES
    return NO_FRAMES if _frames_for_next(m, vm, pages) > m.host.counts[at.FRAME_FREE] else 0


@part
def _frames_for_next(m, vm, pages):
    """Count the frames that the next pages to be taken need, with the host's tables that are missing above them."""
    frames = unbacked_among_next(m, vm, pages)
    if frames == 0:
        return frames
    first = m.guests.vm[vm, at.GUEST_FRESH]
    for level in range(2, m.guests.vm[vm, at.HOST_LEVELS] + 1):
        for key in range(walk_key(first, level), walk_key(first + pages - 1, level) + 1):
            frames += m.host.ept[m.guests.vm[vm, at.EPT + level] + key] == 0
    return frames


@kernel
def _make_ept_root(m, vm):
    """Take the frame of an EPT's root; a flat table stands whole from the start, in neighbouring frames."""
    m.guests.vm[vm, at.EPT_ROOT] = frame_take(m, at.FRAME_OVERHEAD, vm)
    if m.guests.vm[vm, at.HOST_LEVELS] == 1:
        for _ in range((m.guests.vm[vm, at.PAGES] - 1) // at.TABLE_ENTRIES):
            frame_take(m, at.FRAME_OVERHEAD, vm)
