"""The VMM's verbs: the only writers of pmap, page state and reference counts.

Why verbs: a policy that wrote arrays could leave a page mapped twice, a frame without an owner or a TLB entry
that nobody invalidates. So every change of what a guest sees goes through one of these, each keeps the
invariants by itself, and a policy can only decide which verb to call for which page.

    back         give a guest page a frame, and the EPT tables on the way to it
    unback       take its frame away; `invalidate` must follow, once per batch
    invalidate   drop what the cores hold of a VM's memory
    supply       give a guest page a frame wherever it is now: nowhere, in the host's swap area, or compressed
    gpa_access   an access by guest software or a device to a guest-physical page, past all TLBs
    gpa_overwrite  the same that writes all of the page: it is zeroed, or copied to
    gpa_read_into  the same by a device that reads a page from a disk
    violation    what the VMM does when a guest page without a frame is accessed
    vm_exit      the guest is left and re-entered: counted, charged, and flushed where there are no tags
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import EXITS, fold
from vmcfg.hardware.core import drop_guest_physical, flush_combined, flush_guest_physical, flush_linear, walk_key
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import EXIT_COUNT, EXIT_CYCLES_BY_REASON, Event, Exit
from vmcfg.vmm import machine as at
from vmcfg.vmm.balloon import is_ballooned, pop
from vmcfg.vmm.compression import decompress, is_compressed
from vmcfg.vmm.dirty_log import NO_EXIT, note_write
from vmcfg.vmm.files import HAS_FILES
from vmcfg.vmm.frames import frame_free, frame_take
from vmcfg.vmm.images import note_changed
from vmcfg.vmm.large_pages import asked_level, back_large, count_backing, fitting_level, note_pieces, split_large
from vmcfg.vmm.paging import (
    BY_CPU,
    BY_DEVICE,
    PREVENTS,
    is_swapped,
    note_backed,
    note_unbacked,
    note_use,
    page_in,
)
from vmcfg.vmm.shadow_pages import zap_mappers


@kernel
def is_backed(m, vm, ppn):
    """Tell whether a guest page has a frame."""
    return m.host.pmap[m.guests.vm[vm, at.BASE] + ppn] & at.KIND_MASK == at.PRIVATE


@part
def back(m, vm, ppn):
    """Give an unbacked guest page a zeroed frame; return the number of frames taken, EPT tables included.

    Where the host asks for large pages, and one fits, its neighbours get theirs with it.
    """
    level = fitting_level(m, vm, ppn)
    if level > 1:
        return back_large(m, vm, ppn, level) + _take_ept_tables(m, vm, ppn, level)
    frames = 1
    if m.guests.vm[vm, at.HOST_LARGEST] > 1:
        frames += _take_ept_tables(m, vm, ppn, 1)
    gpid = m.guests.vm[vm, at.BASE] + ppn
    assert m.host.pmap[gpid] & at.KIND_MASK == at.UNBACKED
    mpn = frame_take(m, at.FRAME_PRIVATE, gpid)
    m.host.pmap[gpid] = (mpn << at.MPN_SHIFT) | (m.host.pmap[gpid] & at.IS_TABLE) | at.PRIVATE
    note_backed(m, vm, gpid)
    return frames


@kernel
def supply(m, core, vcpu, vm, ppn, is_overwritten):
    """Give a guest page a frame that has none; return how many frames had to be zeroed for it."""
    if is_compressed(m, m.guests.vm[vm, at.BASE] + ppn):
        decompress(m, vcpu, vm, ppn, is_overwritten and m.paging.rules[PREVENTS])
        return np.int64(0)
    if is_swapped(m, m.guests.vm[vm, at.BASE] + ppn):
        page_in(m, core, vcpu, vm, ppn, is_overwritten)
        return np.int64(0)
    return np.int64(back(m, vm, ppn))


@kernel
def mark_table(m, vm, ppn):
    """Note that a guest page is going to hold a page table: the host keeps those in memory."""
    if is_backed(m, vm, ppn):
        note_unbacked(m, vm, m.guests.vm[vm, at.BASE] + ppn)
    m.host.pmap[m.guests.vm[vm, at.BASE] + ppn] |= at.IS_TABLE


@kernel
def unmark_table(m, vm, ppn):
    """Note that a guest page holds a page table no more."""
    m.host.pmap[m.guests.vm[vm, at.BASE] + ppn] &= ~np.int64(at.IS_TABLE)
    if is_backed(m, vm, ppn):
        note_backed(m, vm, m.guests.vm[vm, at.BASE] + ppn)


@kernel
def unback(m, vm, ppn):
    """Take a private page's frame away and free it. The page reads as zero when it is backed again.

    A large page is split for it, into tables that may take the very frame: two must be at hand, this one included.
    """
    gpid = m.guests.vm[vm, at.BASE] + ppn
    assert m.host.pmap[gpid] & at.KIND_MASK == at.PRIVATE
    if m.cost[at.MODE] == at.SHADOW:
        zap_mappers(m, vm, ppn)
    note_unbacked(m, vm, gpid)
    note_changed(m, vm, gpid)
    frame_free(m, m.host.pmap[gpid] >> at.MPN_SHIFT)
    if m.cost[at.HAS_LARGE_PAGES]:
        split_large(m, vm, ppn)
    m.host.pmap[gpid] &= at.IS_TABLE


@part
def invalidate(m, vm):
    """Drop all mappings of a VM's memory on every core (INVEPT, with an IPI to each); return the cycles it costs.

    Under shadow paging there is no EPT, and where there are VPIDs the instruction is INVVPID of the VM's.
    """
    for core in range(m.sched[at.CORES]):
        flush_vm(m, core, vm)
    row = m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW]
    if m.cost[at.MODE] == at.NESTED:
        m.counters[row, Event.INVEPTS] += m.sched[at.CORES]
    elif m.cost[at.HAS_VPID]:
        m.counters[row, Event.INVVPIDS_CONTEXT] += m.sched[at.CORES]
    return m.cost[at.INVEPT] * m.sched[at.CORES]


@kernel
def flush_vm(m, core, vm):
    """Drop all that a core holds of a VM's memory, of its processes, its kernel and the VMM's tables."""
    flush_guest(m, core, vm)
    flush_guest_physical(m.stores, core, vm)


@kernel
def flush_guest(m, core, vm):
    """Drop what a core holds of a VM's processes and its kernel: linear and combined mappings."""
    first, slots = m.guests.vm[vm, at.FIRST_PROCESS], m.guests.vm[vm, at.SLOTS]
    flush_linear(m.stores, core, first, first + slots)
    if m.guests.vm[vm, at.KERNEL_PAGES]:  # else nobody has ever looked for one of its kernel's pages
        space = m.guests.vm[vm, at.GLOBAL_SPACE]
        views = m.guests.process[first, at.KERNEL_SPACE]  # the VM's global space again without KPTI
        flush_linear(m.stores, core, space, space + 1)
        flush_linear(m.stores, core, views, views + slots if views != space else views)


@kernel
def gpa_access(m, core, vcpu, ppn):
    """Access a guest page by guest-physical address, without TLBs; return the cycles of the exits it took.

    This is how a guest copies a page and how devices read memory: it can fault in the host, and sets no accessed bit
    in any guest table.
    """
    return _past_tlbs(m, core, vcpu, ppn, np.int64(0))


@kernel
def gpa_overwrite(m, core, vcpu, ppn):
    """Write all of a guest page by guest-physical address: what was in it is of no use to anybody."""
    return _past_tlbs(m, core, vcpu, ppn, np.int64(BY_CPU))


@kernel
def gpa_read_into(m, core, vcpu, ppn):
    """Let a device write all of a guest page: what was in it is of no use to anybody."""
    return _past_tlbs(m, core, vcpu, ppn, np.int64(BY_DEVICE))


@kernel
def _past_tlbs(m, core, vcpu, ppn, is_overwritten):
    vm = m.vcpu[vcpu, at.VM]
    gpid = m.guests.vm[vm, at.BASE] + ppn
    if m.files.rules[vm, HAS_FILES]:
        note_use(m, vm, gpid, is_overwritten)
    if m.host.pmap[gpid] & (at.IS_TRACED | at.IS_TRACED_ONCE):
        return _writes_to_traced(m, core, vcpu, gpid)
    is_fresh = not is_backed(m, vm, ppn)
    cycles = _missing(m, core, vcpu, ppn, is_overwritten) if is_fresh else np.int64(0)
    if is_overwritten and m.cost[at.HAS_ROUNDS]:
        cycles += gpa_written(m, core, vcpu, ppn, is_overwritten == BY_DEVICE, is_fresh)
    return cycles


@part
def gpa_written(m, core, vcpu, ppn, is_by_device, is_fresh):
    """Have it known that a guest page with a frame is written past the TLBs; return the cycles of the exit it takes."""
    vm = m.vcpu[vcpu, at.VM]
    reason = note_write(m, vcpu, m.guests.vm[vm, at.BASE] + ppn, is_by_device, is_fresh)
    if reason == NO_EXIT:
        return np.int64(0)
    if reason == Exit.WRITE_PROTECTED:
        drop_guest_physical(m.stores, core, vm, ppn, m.cost[at.IS_LEAN] != 0)
    return vm_exit(m, core, vcpu, reason, m.cost[at.PML_FULL if reason == Exit.PML_FULL else at.EPT_VIOLATION])


@kernel
def violation(m, core, vcpu, ppn):
    """Handle an EPT violation on a guest page without a frame; return its cycles."""
    return _missing(m, core, vcpu, ppn, np.int64(0))


@part
def _missing(m, core, vcpu, ppn, is_overwritten):
    """Exit because a guest page without a frame is accessed, and give it one; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    is_table = m.host.pmap[m.guests.vm[vm, at.BASE] + ppn] & at.IS_TABLE
    reason = Exit.EPT_VIOLATION_TABLE if is_table else Exit.EPT_VIOLATION_DATA
    handling = m.cost[at.EPT_VIOLATION]
    if m.cost[at.MODE] == at.SHADOW:
        reason, handling = Exit.HIDDEN_FAULT, m.cost[at.HIDDEN_FAULT]
    if is_swapped(m, m.guests.vm[vm, at.BASE] + ppn):
        reason = Exit.SWAP_IN
    if is_compressed(m, m.guests.vm[vm, at.BASE] + ppn):
        reason = Exit.DECOMPRESS
    if is_ballooned(m, m.guests.vm[vm, at.BASE] + ppn):
        reason = Exit.BALLOON_POP
        pop(m, vm)
    frames = supply(m, core, vcpu, vm, ppn, is_overwritten)
    if m.cost[at.MODE] != at.SHADOW:
        if frames:
            count_backing(m, vcpu, frames, asked_level(m, vm, is_table))
        drop_guest_physical(m.stores, core, vm, ppn, m.cost[at.IS_LEAN] != 0)
    return vm_exit(m, core, vcpu, reason, handling + frames * m.cost[at.ZERO_PAGE])


@kernel
def violation_cycles(m, frames):
    """Return what the VMM's handler costs, besides the exit, when it takes and zeroes `frames` frames."""
    return m.cost[at.EPT_VIOLATION] + frames * m.cost[at.ZERO_PAGE]


@part
def vm_exit(m, core, vcpu, reason, handler_cycles):
    """Count and charge one exit with its handler, flush what is not tagged; return its cycles.

    Whatever the VMM has SPENT for the vCPU meanwhile is of the handler, too.
    """
    cycles = m.cost[at.EXIT] + handler_cycles + m.vcpu[vcpu, at.SPENT]
    m.vcpu[vcpu, at.SPENT] = 0
    row = m.vcpu[vcpu, at.ROW]
    m.counters[row, EXIT_COUNT + reason] += 1
    m.counters[row, EXIT_CYCLES_BY_REASON + reason] += cycles
    m.counters[row, Event.EXIT_CYCLES] += cycles
    fold(m.digest, EXITS, (np.int64(vcpu) << 8) | reason)
    if m.cost[at.HAS_VPID] == 0:
        flush_combined(m.stores, core)
    return cycles


@part
def _writes_to_traced(m, core, vcpu, gpid):
    """Write over a page that once held a page table: trapped, until the VMM sees that it is one no more."""
    times = at.WRITE_FLOOD if m.host.pmap[gpid] & at.IS_TRACED else 1
    m.host.pmap[gpid] &= ~np.int64(at.IS_TRACED | at.IS_TRACED_ONCE)
    cycles = np.int64(0)
    for _ in range(times):
        cycles += vm_exit(m, core, vcpu, Exit.TRACE_FAULT, m.cost[at.TRACE_FAULT])
    return cycles


@kernel
def _take_ept_tables(m, vm, ppn, leaf):
    """Take a frame for each EPT table that is missing on the way to the entry of level `leaf`; return how many."""
    if m.guests.vm[vm, at.HOST_LEVELS] == 0:
        note_pieces(m, vm, ppn, leaf)
    taken = 0
    for level in range(m.guests.vm[vm, at.HOST_LEVELS], leaf, -1):
        entry = m.guests.vm[vm, at.EPT + level] + walk_key(ppn, level)
        if m.host.ept[entry] == 0:
            m.host.ept[entry] = frame_take(m, at.FRAME_OVERHEAD, vm) + 1
            taken += 1
    return taken
