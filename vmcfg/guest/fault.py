"""The guest's page-fault handler, and the same steps taken ahead of time.

A demand fault makes what is missing, top down: for each absent table a page is taken, zeroed and hung into its
parent; then the data page is taken, zeroed, and its leaf written with A = D = 0. Zeroing goes through
`gpa_access`, as all guest accesses by physical address do: in `nested` that is where a page without a frame
usually meets the VMM, before the walk ever sees it.

A store to a page that is there but not writable is the other fault. Processes that share the page after a fork
each get a copy when they write (copy on write); a page that nobody shares becomes writable again. Of a large page only
the 4 KiB that are written to are copied: it is split for that.

A guest that wants large pages maps one by the first absent entry of a level that can, if it has an aligned block of
free memory for it; else a table goes there, and the next smaller size is tried below. It zeroes all of a large page.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import GUEST, fold
from vmcfg.guest.address_space import (
    ANY_SIZE,
    can_be_large,
    kernel_slot,
    leaf_slot,
    make_tables,
    set_root,
    set_view,
    take_table_page,
)
from vmcfg.guest.data_pages import is_shared, note_file_mapped, note_mapped, unshare_page
from vmcfg.guest.file_mapping import file_fault
from vmcfg.guest.pages import block_take, page_take
from vmcfg.guest.shared_memory import hold_before_run
from vmcfg.guest.splitting import split_to
from vmcfg.guest.swapping import swap_in
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Sized
from vmcfg.mmu import privileged
from vmcfg.mmu.tables import gpt_write, large_leaf_entry, leaf_entry, new_table, table_entry
from vmcfg.mmu.walks import guest_slot, page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import NO_PAGE, is_on_disk, page_at, shared_at
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.verbs import back, gpa_access, gpa_overwrite, is_backed


@part
def guest_fault(m, core, vcpu, vpn):
    """Handle a fault of the loaded process; return its cycles, exits included."""
    row = m.vcpu[vcpu, at.ROW]
    process = m.vcpu[vcpu, at.PROCESS]
    slot, level = leaf_slot(m, process, vpn)
    bouncing = privileged.enter_handler(m, core, vcpu)
    if slot >= 0 and m.guests.tables[slot] & at.PRESENT:
        own, exits = _make_writable(m, core, vcpu, vpn, slot, level)
    elif slot >= 0 and m.guests.tables[slot] & at.IN_SWAP:
        own, exits = swap_in(m, core, vcpu, vpn, slot)
    else:
        own, exits = _map_absent(m, core, vcpu, process, vpn)
    exits += bouncing + privileged.leave_kernel(m, core, vcpu)
    own += m.cost[at.GUEST_FAULT]
    m.counters[row, Event.GUEST_FAULTS] += 1
    m.counters[row, Event.GUEST_FAULT_CYCLES] += own
    fold(m.digest, GUEST, vpn)
    return own + exits


@kernel
def _map_absent(m, core, vcpu, process, vpn):
    """Map a page that is nowhere, in a file, or in shared memory; return (own cycles, cycles of exits)."""
    vm = m.vcpu[vcpu, at.VM]
    page = page_at(m, vm, vpn)
    if page != NO_PAGE:
        if m.files.cached[page] >= 0 and not is_on_disk(m, vm, page):
            _count_size(m, m.vcpu[vcpu, at.ROW], vm, np.int64(1))
        return file_fault(m, core, vcpu, process, vpn, page)
    own, exits, leaf = map_page(m, core, vcpu, process, vpn)
    _count_size(m, m.vcpu[vcpu, at.ROW], vm, leaf)
    return own, exits


@part
def map_page(m, core, vcpu, process, vpn):
    """Map an absent page of a process to a new page of the guest; return (own cycles, cycles of exits, its level)."""
    table, leaf, own, exits = make_tables(m, core, vcpu, process, vpn, ANY_SIZE)
    vm = m.vcpu[vcpu, at.VM]
    ppn = block_take(m, vm, leaf) if leaf > 1 else page_take(m, vm)
    if m.guests.vm[vm, at.ZEROES]:
        for number in range(pages_below(leaf)):
            exits += gpa_overwrite(m, core, vcpu, ppn + number)
        own += m.cost[at.ZERO_PAGE] * pages_below(leaf)
    entry = large_leaf_entry(ppn) if leaf > 1 else leaf_entry(ppn)
    slot = guest_slot(m, vm, table, vpn, leaf)
    exits += gpt_write(m, core, vcpu, slot, entry)
    note_mapped(m, process, vpn, slot)
    return own + m.cost[at.GPT_WRITE], exits, leaf


@kernel
def _make_writable(m, core, vcpu, vpn, slot, level):
    """Let a store go on to a page without W; return (own cycles, cycles of exits).

    A large page of which others share a part is split first, down to the page.
    """
    row = m.vcpu[vcpu, at.ROW]
    vm = m.vcpu[vcpu, at.VM]
    own = exits = np.int64(0)
    if level > 1 and is_shared(m, vm, page_of(m.guests.tables[slot]), level):
        slot, own, exits = split_to(m, core, vcpu, vpn, np.int64(1))
        level = np.int64(1)
    entry = m.guests.tables[slot]
    own += m.cost[at.GPT_WRITE]
    if level > 1 or not is_shared(m, vm, page_of(entry), level):
        m.counters[row, Event.WRITE_FAULTS] += 1
        return own, exits + gpt_write(m, core, vcpu, slot, entry | at.WRITABLE)
    m.counters[row, Event.COW_FAULTS] += 1
    ppn = page_take(m, vm)
    exits += gpa_access(m, core, vcpu, page_of(entry))
    exits += gpa_overwrite(m, core, vcpu, ppn)
    exits += gpt_write(m, core, vcpu, slot, leaf_entry(ppn))
    unshare_page(m, vm, slot, page_of(entry))
    note_mapped(m, m.vcpu[vcpu, at.PROCESS], vpn, slot)
    return own + m.cost[at.COPY_PAGE], exits


@part
def populate(m, process, vpn):
    """Map one page before the run, tables interleaved, at no cost; return the number of tables made."""
    vm = m.guests.process[process, at.PROCESS_VM]
    tables = 0
    table = m.guests.process[process, at.ROOT_TABLE]
    levels = m.guests.vm[vm, at.LEVELS]
    for level in range(levels, 1, -1):
        slot = guest_slot(m, vm, table, vpn, level)
        if m.guests.tables[slot] & at.PRESENT == 0:
            if can_be_large(m, vm, level):
                _populate_large(m, vm, slot, level)
                return tables
            m.guests.tables[slot] = _table_at_no_cost(m, vm)
            tables += 1
        elif m.guests.tables[slot] & at.LARGE_PAGE:
            return tables
        if level == levels:
            _mirror(m, process, vpn, m.guests.tables[slot])
        table = m.guests.tables[slot] >> at.CHILD_SHIFT
    slot = guest_slot(m, vm, table, vpn, 1)
    if m.guests.tables[slot] & at.PRESENT == 0:
        _populate_small(m, process, vpn, slot)
    return tables


@kernel
def map_kernel(m, vm, vpn, ppn):
    """Map a page of the guest kernel's memory before the run, at no cost; return the number of tables made."""
    tables = 0
    if m.guests.vm[vm, at.KERNEL_ENTRY] == 0:
        m.guests.vm[vm, at.KERNEL_ENTRY] = _table_at_no_cost(m, vm)
        tables += 1
    table = m.guests.vm[vm, at.KERNEL_ENTRY] >> at.CHILD_SHIFT
    for level in range(m.guests.vm[vm, at.LEVELS] - 1, 1, -1):
        slot = guest_slot(m, vm, table, vpn, level)
        if m.guests.tables[slot] & at.PRESENT == 0:
            m.guests.tables[slot] = _table_at_no_cost(m, vm)
            tables += 1
        table = m.guests.tables[slot] >> at.CHILD_SHIFT
    m.guests.tables[guest_slot(m, vm, table, vpn, 1)] = leaf_entry(ppn)
    return tables


@kernel
def make_roots_at_no_cost(m, process):
    """Make a process's roots before the run, noting the frames that their pages' violations take."""
    vm = m.guests.process[process, at.PROCESS_VM]
    ppn = take_table_page(m, vm)
    set_root(m, process, new_table(m, ppn), ppn)
    m.guests.process[process, at.ROOT_FRAMES] = back_if_needed(m, vm, ppn)
    if m.guests.vm[vm, at.HAS_KPTI]:
        ppn = take_table_page(m, vm)
        set_view(m, process, new_table(m, ppn), ppn)
        m.guests.process[process, at.VIEW_FRAMES] = back_if_needed(m, vm, ppn)
    if m.guests.vm[vm, at.KERNEL_ENTRY]:
        m.guests.tables[kernel_slot(m, process)] = m.guests.vm[vm, at.KERNEL_ENTRY]


@kernel
def back_if_needed(m, vm, ppn):
    """Back a page unless it has a frame; return the number of frames taken."""
    if is_backed(m, vm, ppn):
        return 0
    return back(m, vm, ppn)


@part
def needs(m, process, vpn, is_store):
    """Return (guest pages an access to `vpn` would take at most, whether it touches a page without a frame).

    A pure look, made only when pages or frames are short: it decides whether the access can go on.
    """
    vm = m.guests.process[process, at.PROCESS_VM]
    if m.guests.vm[vm, at.LEVELS] == 0:
        return 0, not is_backed(m, vm, vpn)
    table = m.guests.process[process, at.ROOT_TABLE]
    is_walked = m.guests.vm[vm, at.LEVELS] != at.PAE_LEVELS
    lacks_frame = is_walked and not is_backed(m, vm, m.guests.process[process, at.ROOT_PPN])
    entry = np.int64(0)
    for level in range(m.guests.vm[vm, at.LEVELS], 0, -1):
        entry = m.guests.tables[guest_slot(m, vm, table, vpn, level)]
        if entry & at.PRESENT == 0:
            held = shared_at(m, vm, vpn)  # by shared memory: only the tables are missing
            lacks_frame = lacks_frame or level > 1 or held == NO_PAGE or not is_backed(m, vm, held)
            return level - (held != NO_PAGE), lacks_frame
        page = page_of(entry)
        if entry & at.LARGE_PAGE:
            page += vpn & (pages_below(level) - 1)
        lacks_frame = lacks_frame or not is_backed(m, vm, page)
        if entry & at.LARGE_PAGE:
            break
        table = entry >> at.CHILD_SHIFT
    if is_store and entry & at.WRITABLE == 0 and is_shared(m, vm, page_of(entry), level):
        return level, True  # a copy, and tables where a large page is split for it
    return 0, lacks_frame


@kernel
def _table_at_no_cost(m, vm):
    """Make a table before the run; return the entry that leads to it."""
    ppn = take_table_page(m, vm)
    back_if_needed(m, vm, ppn)
    return table_entry(ppn, new_table(m, ppn))


@kernel
def _mirror(m, process, vpn, entry):
    """Before the run, put a root entry into the kernel's view too, if that has a root of its own."""
    root = m.guests.process[process, at.KERNEL_ROOT_TABLE]
    if root != m.guests.process[process, at.ROOT_TABLE]:
        vm = m.guests.process[process, at.PROCESS_VM]
        m.guests.tables[guest_slot(m, vm, root, vpn, m.guests.vm[vm, at.LEVELS])] = entry


@part
def _populate_small(m, process, vpn, slot):
    vm = m.guests.process[process, at.PROCESS_VM]
    page = page_at(m, vm, vpn)
    ppn = page_take(m, vm) if page == NO_PAGE else hold_before_run(m, vm, page)
    back_if_needed(m, vm, ppn)
    m.guests.tables[slot] = leaf_entry(ppn)
    if page == NO_PAGE:
        note_mapped(m, process, vpn, slot)
    else:
        note_file_mapped(m, process, vpn, slot)


@part
def _populate_large(m, vm, slot, level):
    ppn = block_take(m, vm, level)
    for number in range(pages_below(level)):
        back_if_needed(m, vm, ppn + number)
    m.guests.tables[slot] = large_leaf_entry(ppn)
    m.guests.vm[vm, at.LARGE_AT_START] += 1


@kernel
def _count_size(m, row, vm, leaf):
    """Count a page that a fault has mapped by its size."""
    if m.cost[at.HAS_LARGE_PAGES]:
        m.sizes[row, Sized.MAPPED_4K + leaf - 1] += 1
        m.sizes[row, Sized.MAPPED_SMALLER] += leaf < m.guests.vm[vm, at.GUEST_PAGE]
