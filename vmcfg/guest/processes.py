"""Processes that come and go: fork with copy on write, exec, exit, and the switch from one to another.

fork copies page tables and no page: both sides lose W, and whoever writes first gets a copy (`guest.fault`). It is why
fork is dear under a hypervisor that must see every write to a page table, and cheap under one that need not.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import (
    after,
    clear_table,
    free_table,
    make_roots,
    make_tables,
    next_present,
)
from vmcfg.guest.data_pages import harvest_dirty, note_home, release_page, share_page
from vmcfg.guest.mapping import charge_guest, count_large
from vmcfg.guest.shared_memory import free_all_if_last
from vmcfg.guest.swapping import release_slot, share_slot
from vmcfg.guest.switching import flush_process, load_process, reload, replace
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Sized
from vmcfg.mmu import privileged
from vmcfg.mmu.tables import gpt_write
from vmcfg.mmu.walks import guest_slot, page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import is_of_file
from vmcfg.vmm.frames import pages_below

NO_PROCESS = -1


@part
def switch(m, core, vcpu):
    """Load the next living process of the guest, if there is another; return the cycles."""
    following = next_living(m, m.vcpu[vcpu, at.PROCESS])
    if following == m.vcpu[vcpu, at.PROCESS]:
        return np.int64(0)
    m.counters[m.vcpu[vcpu, at.ROW], Event.CONTEXT_SWITCHES] += 1
    return charge_guest(m, vcpu, m.cost[at.CONTEXT_SWITCH]) + load_process(m, core, vcpu, following)


@part
def fork(m, core, vcpu):
    """Make a child of the loaded process, which goes on; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    parent = m.vcpu[vcpu, at.PROCESS]
    cycles = np.int64(0)
    if _first_dead(m, vm) == NO_PROCESS:
        cycles += _end(m, core, vcpu, _oldest_child(m, vm))
        parent = m.vcpu[vcpu, at.PROCESS]
    child = _first_dead(m, vm)
    m.guests.vm[vm, at.FORKED] += 1
    m.guests.process[child, at.IS_LIVE] = 1
    m.guests.process[child, at.BORN] = m.guests.vm[vm, at.FORKED]
    m.counters[m.vcpu[vcpu, at.ROW], Event.FORKS] += 1
    own, exits = make_roots(m, core, vcpu, child)
    cycles += charge_guest(m, vcpu, own) + exits
    cycles += _copy_tables(m, core, vcpu, parent, child)
    cycles += privileged.begin_space(m, core, vcpu, child)
    return cycles + reload(m, core, vcpu)


@part
def pages_to_fork(m, vcpu):
    """Count the pages that a fork would take on balance: its tables, less what a child gives back that ends first.

    Returns (pages, those given back that have no frame). The count is below 0 if more pages come back than go.
    """
    vm = m.vcpu[vcpu, at.VM]
    parent = m.vcpu[vcpu, at.PROCESS]
    if _first_dead(m, vm) != NO_PROCESS:
        return _count_tables(m, parent), np.int64(0)
    ending = _oldest_child(m, vm)
    freed, unbacked = _count_own_pages(m, ending)
    if ending == parent:
        parent = next_living(m, parent)
    return _count_tables(m, parent) - _count_tables(m, ending) - freed, unbacked


@part
def execute(m, core, vcpu):
    """Let the loaded process begin anew in an empty address space; return the cycles."""
    process = m.vcpu[vcpu, at.PROCESS]
    vm = m.vcpu[vcpu, at.VM]
    left = m.guests.vm[vm, at.LEFT]
    for field in range(at.PROCESS_FIELDS):
        m.guests.process[left, field] = m.guests.process[process, field]
    m.guests.process[left, at.IS_LIVE] = 0
    own, exits = make_roots(m, core, vcpu, process)
    cycles = charge_guest(m, vcpu, own) + exits
    cycles += privileged.begin_space(m, core, vcpu, process)
    cycles += replace(m, core, vcpu, left)
    cycles += privileged.end_space(m, core, vcpu, left)
    cycles += _tear_down(m, core, vcpu, left)
    free_roots(m, vcpu, left)
    return cycles


@part
def may_leave(m, vcpu):
    """Tell whether there is a child that can end."""
    return _leaver(m, vcpu) != NO_PROCESS


@part
def leave(m, core, vcpu):
    """End the loaded process if it is a child, else the oldest child, if there is any; return the cycles."""
    process = _leaver(m, vcpu)
    return np.int64(0) if process == NO_PROCESS else _end(m, core, vcpu, process)


@kernel
def _leaver(m, vcpu):
    """Return the child that an exit ends, or NO_PROCESS: whoever is the last, because others were killed, stays."""
    process = m.vcpu[vcpu, at.PROCESS]
    if next_living(m, process) == process:
        return np.int64(NO_PROCESS)
    return process if m.guests.process[process, at.BORN] else _oldest_child(m, m.vcpu[vcpu, at.VM])


@part
def _end(m, core, vcpu, process):
    """End a process and free what it had; if it is the loaded one the next is loaded. Return the cycles."""
    if process != m.vcpu[vcpu, at.PROCESS]:
        return end_unloaded(m, core, vcpu, process)
    cycles = empty(m, core, vcpu, process)
    m.guests.process[process, at.IS_LIVE] = 0
    cycles += reload(m, core, vcpu)
    cycles += switch(m, core, vcpu)
    cycles += privileged.end_space(m, core, vcpu, process)
    free_roots(m, vcpu, process)
    return cycles


@part
def end_unloaded(m, core, vcpu, process):
    """End a process that no vCPU has loaded, and free what it had; return the cycles."""
    cycles = privileged.end_space(m, core, vcpu, process)
    cycles += empty(m, core, vcpu, process)
    m.guests.process[process, at.IS_LIVE] = 0
    flush_process(m, core, process)
    free_roots(m, vcpu, process)
    return cycles


@part
def empty(m, core, vcpu, process):
    """Count the end of a process and free all that it had but its roots; return the cycles."""
    m.counters[m.vcpu[vcpu, at.ROW], Event.PROCESS_EXITS] += 1
    return _tear_down(m, core, vcpu, process)


@kernel
def _count_tables(m, process):
    """Count the pages that hold a process's tables, its roots among them."""
    vm = m.guests.process[process, at.PROCESS_VM]
    tables = 1 + m.guests.vm[vm, at.HAS_KPTI]
    for level in range(2, m.guests.vm[vm, at.LEVELS] + 1):
        vpn, slot, _ = next_present(m, process, np.int64(0), level)
        while slot >= 0:
            tables += 1
            vpn, slot, _ = next_present(m, process, after(m, vm, vpn, level), level)
    return tables


@kernel
def _count_own_pages(m, process):
    """Return (data pages that no other process shares, those of them that have no frame)."""
    vm = m.guests.process[process, at.PROCESS_VM]
    base = m.guests.vm[vm, at.BASE]
    own = unbacked = np.int64(0)
    vpn, slot, level = next_present(m, process, np.int64(0), 1)
    while slot >= 0:
        first = base + page_of(m.guests.tables[slot])
        pages = pages_below(level) if m.guests.tables[slot] & at.PRESENT else np.int64(0)
        for gpid in range(first, first + pages):
            if m.guests.sharers[gpid] == 0:
                own += 1
                unbacked += m.host.pmap[gpid] & at.KIND_MASK != at.PRIVATE
        vpn, slot, level = next_present(m, process, after(m, vm, vpn, level), 1)
    return own, unbacked


@kernel
def _copy_tables(m, core, vcpu, parent, child):
    """Let a child share all pages of its parent, neither with W but of files; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    own = exits = np.int64(0)
    vpn, slot, level = next_present(m, parent, np.int64(0), 1)
    while slot >= 0:
        table, _, making, leaving = make_tables(m, core, vcpu, child, vpn, level)
        entry = m.guests.tables[slot]
        exits += leaving
        own += making + m.cost[at.GPT_WRITE]
        copy = guest_slot(m, vm, table, vpn, level)
        note_home(m, child, vpn, copy)
        if entry & at.IN_SWAP:
            exits += gpt_write(m, core, vcpu, copy, entry)
            share_slot(m, vm, entry)
            vpn, slot, level = next_present(m, parent, after(m, vm, vpn, level), 1)
            continue
        is_file = is_of_file(m, vm, m.guests.vm[vm, at.BASE] + page_of(entry))
        if entry & at.WRITABLE and not is_file:
            exits += gpt_write(m, core, vcpu, slot, entry & ~np.int64(at.WRITABLE))
            own += m.cost[at.GPT_WRITE]
        kept = at.LARGE_PAGE | at.WRITABLE * np.int64(is_file)
        shared = (page_of(entry) << at.PPN_SHIFT) | (entry & kept) | at.PRESENT
        exits += gpt_write(m, core, vcpu, copy, shared)
        share_page(m, vm, page_of(entry), level)
        count_large(m, vcpu, level, Sized.LARGE_MAPPED)
        vpn, slot, level = next_present(m, parent, after(m, vm, vpn, level), 1)
    return charge_guest(m, vcpu, own) + exits


@part
def _tear_down(m, core, vcpu, process):
    """Unmap all pages of a process, then free its tables from the leaves up, but not its roots; return the cycles.

    Of the guest's last one the shared memory goes, too.
    """
    vm = m.vcpu[vcpu, at.VM]
    own = exits = np.int64(0)
    vpn, slot, size = next_present(m, process, np.int64(0), 1)
    while slot >= 0:
        entry = m.guests.tables[slot]
        exits += gpt_write(m, core, vcpu, slot, np.int64(0))
        own += m.cost[at.GPT_WRITE]
        count_large(m, vcpu, size, Sized.LARGE_UNMAPPED)
        if entry & at.IN_SWAP:
            release_slot(m, vcpu, vm, page_of(entry))
        else:
            harvest_dirty(m, vm, entry)
            release_page(m, vm, slot, page_of(entry), size)
        vpn, slot, size = next_present(m, process, after(m, vm, vpn, size), 1)
    for level in range(2, m.guests.vm[vm, at.LEVELS] + 1):
        vpn, slot, _ = next_present(m, process, np.int64(0), level)
        while slot >= 0:
            clearing, leaving = clear_table(m, core, vcpu, process, vpn, level, slot)
            own += clearing
            exits += leaving
            vpn, slot, _ = next_present(m, process, after(m, vm, vpn, level), level)
    free_all_if_last(m, vcpu)
    return charge_guest(m, vcpu, own) + exits


@kernel
def free_roots(m, vcpu, process):
    """Free the pages of a process's roots, the user's first."""
    vm = m.vcpu[vcpu, at.VM]
    tables = m.guests.process
    row = m.vcpu[vcpu, at.ROW]
    free_table(m, row, vm, tables[process, at.ROOT_TABLE], tables[process, at.ROOT_PPN])
    if tables[process, at.KERNEL_ROOT_TABLE] != tables[process, at.ROOT_TABLE]:
        free_table(m, row, vm, tables[process, at.KERNEL_ROOT_TABLE], tables[process, at.KERNEL_ROOT_PPN])


@kernel
def next_living(m, process):
    """Return the next living process of the same guest, in the order of their slots; itself if there is no other."""
    vm = m.guests.process[process, at.PROCESS_VM]
    first, slots = m.guests.vm[vm, at.FIRST_PROCESS], m.guests.vm[vm, at.SLOTS]
    for step in range(1, slots):
        other = first + (process - first + step) % slots
        if m.guests.process[other, at.IS_LIVE]:
            return other
    return process


@kernel
def _first_dead(m, vm):
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    for process in range(first, first + m.guests.vm[vm, at.SLOTS]):
        if m.guests.process[process, at.IS_LIVE] == 0:
            return process
    return np.int64(NO_PROCESS)


@kernel
def _oldest_child(m, vm):
    """Return the living process that was forked first, or NO_PROCESS."""
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    oldest = np.int64(NO_PROCESS)
    for number in range(m.guests.vm[vm, at.SLOTS]):
        process = np.int64(first + number)
        is_child = m.guests.process[process, at.IS_LIVE] and m.guests.process[process, at.BORN]
        if is_child and (oldest < 0 or m.guests.process[process, at.BORN] < m.guests.process[oldest, at.BORN]):
            oldest = process
    return oldest
