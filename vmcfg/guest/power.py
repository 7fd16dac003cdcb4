"""Power-off and reboot: a guest's kernel and processes are gone from one moment to the next.

Nobody unmaps, frees or writes back anything: what was in memory, in the guest's swap area and dirty in its page cache
is lost. So it is not the guest that does what is here. Its state is put back to where it was before it booted: all
pages but its kernel's are free, in ascending order; nothing is mapped, cached, ballooned or swapped by it.

A VM that is powered off gives everything back to its host (`vmm.power`). One that reboots keeps its frames, as a reset
of a real VM does: the host does not know which of its pages matter any more, and finds out no sooner than before. Only
the balloon is gone, for its pages belong to the guest again; they have no frames. The workload goes on with the touch
it has come to, in new and empty address spaces; its first processes are there again, and no others.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import count_living, free_table, make_roots, next_present
from vmcfg.guest.balloon import SLOWEST
from vmcfg.guest.mapping import charge_guest, count_large
from vmcfg.guest.processes import free_roots
from vmcfg.guest.refaults import drop_mark, place_of_file_page, place_of_slot
from vmcfg.guest.switching import replace
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Exit, Sized
from vmcfg.mmu.shadow import VIRTUAL_TLB
from vmcfg.mmu.walks import page_of
from vmcfg.reclaim.replacement import leave
from vmcfg.vmm import machine as at
from vmcfg.vmm.balloon import unmark_ballooned
from vmcfg.vmm.files import CACHED, HOLDS, OWN_END, OWN_FIRST, SHARED_END, SHARED_FIRST
from vmcfg.vmm.images import note_changed
from vmcfg.vmm.power import take_back
from vmcfg.vmm.shadow_pages import NONE, free_tree
from vmcfg.vmm.swap import FIRST, LANDED, LAUNCHED, NEXT, SLOTS, USED, area_of
from vmcfg.vmm.verbs import flush_guest, invalidate, vm_exit


@part
def power_off(m, core, vcpu):
    """Let a vCPU's VM be without memory, processes and guest's kernel; return the cycles of the exit."""
    vm, row = m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.ROW]
    _forget_all(m, vcpu, vm, row)
    take_back(m, vm, row)
    m.guests.vm[vm, at.IS_OFF] = 1
    return vm_exit(m, core, vcpu, Exit.POWER, invalidate(m, vm))


@part
def reboot(m, core, vcpu):
    """Let the only vCPU of a VM begin anew, in new address spaces, when its guest has booted; return the cycles."""
    vm, row = m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.ROW]
    m.counters[row, Event.BALLOON_POPS] += m.guests.vm[vm, at.BALLOON_PAGES] > 0 and not m.guests.vm[vm, at.IS_POPPED]
    _forget_all(m, vcpu, vm, row)
    for each in range(m.sched[at.CORES]):  # what they hold of the VM's memory stays
        flush_guest(m, each, vm)
    cycles = vm_exit(m, core, vcpu, Exit.POWER, np.int64(0))
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    for process in range(first, first + m.guests.vm[vm, at.AT_START]):
        m.guests.process[process, at.IS_LIVE] = 1
        m.guests.process[process, at.BORN] = 0
        own, exits = make_roots(m, core, vcpu, np.int64(process))
        cycles += charge_guest(m, vcpu, own) + exits
    m.vcpu[vcpu, at.PROCESS] = first
    if m.guests.vm[vm, at.PCIDS]:
        m.guests.pcids[vcpu, 0] = first + 1
        m.vcpu[vcpu, at.PCID_NEXT] = 1 % m.guests.vm[vm, at.PCIDS]
    cycles += replace(m, core, vcpu, first)
    m.guests.vm[vm, at.DOWN_UNTIL] = m.core[core, at.CLOCK] + cycles + m.guests.vm[vm, at.BOOT_CYCLES]
    m.vcpu[vcpu, at.WAITS_UNTIL] = max(m.vcpu[vcpu, at.WAITS_UNTIL], m.guests.vm[vm, at.DOWN_UNTIL])
    return cycles


@kernel
def roots_at_start(m, vm):
    """Return how many pages the roots of a guest's first processes take, which are the first to be taken at all."""
    return m.guests.vm[vm, at.AT_START] * (1 + m.guests.vm[vm, at.HAS_KPTI])


@part
def unbacked_roots(m, vm):
    """Count those of these pages that will have no frame after a reboot: they have none now."""
    first = m.guests.vm[vm, at.BASE] + m.guests.vm[vm, at.PINNED]
    unbacked = np.int64(0)
    for gpid in range(first, first + roots_at_start(m, vm)):
        unbacked += m.host.pmap[gpid] & at.KIND_MASK != at.PRIVATE
    return unbacked


@part
def _forget_all(m, vcpu, vm, row):
    """Put a guest's state back to where it was before it booted."""
    for other in range(m.sched[at.VCPUS]):
        if m.vcpu[other, at.VM] == vm:
            _forget_vcpu(m, vm, np.int64(other))
    left = count_living(m, vm)
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    for process in range(first, first + m.guests.vm[vm, at.SLOTS]):
        if m.guests.process[process, at.IS_LIVE]:
            left -= 1
            _forget_process(m, vcpu, vm, np.int64(process), left == 0)
    _forget_balloon(m, vm, row)
    _forget_files(m, vm, row)
    if m.guests.vm[vm, at.RECLAIMS]:
        _forget_swap(m, vm, row)
    base = m.guests.vm[vm, at.BASE]
    for gpid in range(base, base + m.guests.vm[vm, at.PAGES]):
        _forget_page(m, vm, gpid)
    _free_all(m, vm)


@kernel
def _forget_vcpu(m, vm, vcpu):
    """Let a vCPU keep no translations of processes, and use no shadow table; one of its own goes.

    Whatever it has asked a disk for just now, by an event before this one, nobody waits for it any more.
    """
    m.vcpu[vcpu, at.WAITS_UNTIL] = 0
    for place in range(m.guests.vm[vm, at.PCIDS]):
        m.guests.pcids[vcpu, place] = 0
    if m.cost[at.MODE] == at.SHADOW:
        if m.cost[at.SHADOW_VARIANT] == VIRTUAL_TLB and m.vcpu[vcpu, at.SHADOW_ROOT] != NONE:
            free_tree(m, m.vcpu[vcpu, at.SHADOW_ROOT])
        m.vcpu[vcpu, at.SHADOW_ROOT] = NONE


@kernel
def _forget_process(m, vcpu, vm, process, is_last):
    """Let a process be gone, with its page tables; with the last one go those of the kernel, which all share."""
    m.counters[m.vcpu[vcpu, at.ROW], Event.PROCESS_EXITS] += 1
    if is_last and m.guests.vm[vm, at.KERNEL_ENTRY]:
        _exchange_views(m, process)  # the kernel's has all that the user's has, and its memory besides
        m.guests.vm[vm, at.KERNEL_ENTRY] = 0
    if m.cost[at.HAS_LARGE_PAGES]:
        _count_large_pages(m, vcpu, vm, process)
    for level in range(2, m.guests.vm[vm, at.LEVELS] + 1):
        vpn, slot, _ = next_present(m, process, np.int64(0), level)
        while slot >= 0:
            entry = m.guests.tables[slot]
            m.guests.tables[slot] = 0
            free_table(m, m.vcpu[vcpu, at.ROW], vm, entry >> at.CHILD_SHIFT, page_of(entry))
            vpn, slot, _ = next_present(m, process, vpn, level)
    free_roots(m, vcpu, process)
    m.guests.process[process, at.IS_LIVE] = 0


@kernel
def _exchange_views(m, process):
    """Let the two roots of a process change places."""
    rows = m.guests.process
    table, ppn = rows[process, at.ROOT_TABLE], rows[process, at.ROOT_PPN]
    rows[process, at.ROOT_TABLE], rows[process, at.ROOT_PPN] = (
        rows[process, at.KERNEL_ROOT_TABLE], rows[process, at.KERNEL_ROOT_PPN]
    )  # fmt: skip
    rows[process, at.KERNEL_ROOT_TABLE], rows[process, at.KERNEL_ROOT_PPN] = table, ppn


@kernel
def _count_large_pages(m, vcpu, vm, process):
    """Count the large pages that a process maps as unmapped."""
    vpn, slot, level = next_present(m, process, np.int64(0), 1)
    while slot >= 0:
        count_large(m, vcpu, level, Sized.LARGE_UNMAPPED)
        m.guests.tables[slot] = 0
        vpn, slot, level = next_present(m, process, vpn, 1)


@kernel
def _forget_balloon(m, vm, row):
    """Let the pages of a guest's balloon be its own, as if never touched."""
    base, pages = m.guests.vm[vm, at.BASE], m.guests.vm[vm, at.BALLOON_PAGES]
    for number in range(pages):
        unmark_ballooned(m, base + m.guests.balloon[base + number])
    m.counters[row, Event.BALLOON_DEFLATED] += pages
    m.guests.vm[vm, at.BALLOON_PAGES] = m.guests.vm[vm, at.IS_POPPED] = 0
    m.guests.vm[vm, at.BALLOON_RATE] = SLOWEST
    m.guests.vm[vm, at.BALLOON_SLEEPS] = 0


@kernel
def _forget_files(m, vm, row):
    """Let a guest's page cache be empty, and its shared memory; what was dirty is lost."""
    if m.files.rules[vm, HOLDS] == 0:
        return
    for page in range(m.files.rules[vm, OWN_FIRST], m.files.rules[vm, OWN_END]):
        m.files.cached[page] = m.files.dirtied[page] = 0
        drop_mark(m, vm, place_of_file_page(m, page))
    for page in range(m.files.rules[vm, SHARED_FIRST], m.files.rules[vm, SHARED_END]):
        m.files.cached[page] = 0
    m.counters[row, Event.CACHE_DROPS] += m.files.rules[vm, CACHED]
    m.files.rules[vm, CACHED] = 0


@kernel
def _forget_swap(m, vm, row):
    """Let a guest's swap area be empty; nobody waits any more for what is on its way there."""
    area = m.paging.area
    own = area_of(vm)
    for slot in range(area[own, SLOTS]):
        m.paging.slots[area[own, FIRST] + slot] = 0
        drop_mark(m, vm, place_of_slot(m, vm, slot))
    m.counters[row, Event.GUEST_SLOTS_FREED] += area[own, USED]
    area[own, USED] = area[own, NEXT] = 0
    area[own, LANDED] = area[own, LAUNCHED]


@kernel
def _forget_page(m, vm, gpid):
    """Let a guest page be nobody's; the VMM traces no writes to it, and what a cached one equals is not known now."""
    m.guests.sharers[gpid] = 0
    m.host.pmap[gpid] &= ~np.int64(at.IS_TRACED | at.IS_TRACED_ONCE)
    if m.guests.vm[vm, at.RECLAIMS]:
        m.guests.where[gpid] = 0
        leave(m.paging.guest, vm, gpid)
    if m.files.rules[vm, HOLDS] and m.files.origin[gpid]:
        m.files.origin[gpid] = 0
        if m.host.pmap[gpid] & at.KIND_MASK == at.PRIVATE:
            note_changed(m, vm, gpid)


@kernel
def _free_all(m, vm):
    """Let all pages of a guest be free but its kernel's, in ascending order."""
    guest = m.guests.vm
    assert guest[vm, at.TABLE_PAGES] == 0
    guest[vm, at.GUEST_FREE] = guest[vm, at.PAGES] - guest[vm, at.PINNED]
    guest[vm, at.GUEST_FRESH], guest[vm, at.CEILING] = guest[vm, at.PINNED], guest[vm, at.PAGES]
    guest[vm, at.GUEST_TOP] = guest[vm, at.GUEST_BLOCK_TOP] = guest[vm, at.ZEROED] = 0
    guest[vm, at.TABLE_NEXT] = guest[vm, at.TABLE_END] = guest[vm, at.FORKED] = 0
