"""What stands before t = 0: EPT roots, backed ranges, processes with their tables. None of it takes time."""

from __future__ import annotations

import numpy as np

from vmcfg.guest.fault import back_if_needed, make_roots_at_no_cost, map_kernel, populate
from vmcfg.jit import by_reference, entry, kernel
from vmcfg.mmu.paravirt import acquire
from vmcfg.mmu.shadow_answers import enter_root
from vmcfg.mmu.walks import PARAVIRT, kernel_vpn
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import frame_take


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
    """Make a process's roots, then map the pages `vpns` (ascending). Returns the number of tables made."""
    m = by_reference(machine)
    m.guests.process[process, at.IS_LIVE] = 1
    if m.guests.vm[m.guests.process[process, at.PROCESS_VM], at.LEVELS] == 0:
        return 0
    make_roots_at_no_cost(m, process)
    tables = 1 + m.guests.vm[m.guests.process[process, at.PROCESS_VM], at.HAS_KPTI]
    for position in range(vpns.shape[0]):
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
def _make_ept_root(m, vm):
    """Take the frame of an EPT's root; a flat table stands whole from the start, in neighbouring frames."""
    m.guests.vm[vm, at.EPT_ROOT] = frame_take(m, at.FRAME_OVERHEAD, vm)
    if m.guests.vm[vm, at.HOST_LEVELS] == 1:
        for _ in range((m.guests.vm[vm, at.PAGES] - 1) // at.TABLE_ENTRIES):
            frame_take(m, at.FRAME_OVERHEAD, vm)
