"""A process's address space: its page tables, made on the way down and found again.

With kernel page-table isolation (KPTI) a process has two roots: the user's lacks the kernel's memory, the kernel's
view has it, and both lead to the same lower tables. So an entry of a root is written twice.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.pages import has_block, page_free, table_page_take
from vmcfg.guest.switching import tell_of_pointer
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.tables import gpt_write, new_table, table_entry, table_freed
from vmcfg.mmu.walks import guest_slot, kernel_vpn, page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import gpa_overwrite, mark_table, unmark_table

ANY_SIZE = 0  # of a leaf: as large as the guest wants and can have


@part
def make_tables(m, core, vcpu, process, vpn, leaf):
    """Make what is missing on the way to a page's leaf, which is to be of level `leaf` or ANY_SIZE, top down.

    Returns (table and level of its leaf, own cycles, cycles of exits): a large page's leaf needs no tables below.
    """
    vm = m.guests.process[process, at.PROCESS_VM]
    own = exits = np.int64(0)
    table = m.guests.process[process, at.ROOT_TABLE]
    levels = m.guests.vm[vm, at.LEVELS]
    for level in range(levels, 1, -1):
        slot = guest_slot(m, vm, table, vpn, level)
        if m.guests.tables[slot] & at.PRESENT == 0:
            if level == leaf or (leaf == ANY_SIZE and can_be_large(m, vm, level)):
                return table, np.int64(level), own, exits
            ppn = take_table_page(m, vm)
            exits += gpa_overwrite(m, core, vcpu, ppn)
            entry = table_entry(ppn, new_table(m, ppn))
            exits += write_above_leaf(m, core, vcpu, process, vpn, level == levels, slot, entry)
            own += m.cost[at.ZERO_PAGE] + m.cost[at.GPT_WRITE] * writes(m, process, level == levels)
            m.counters[m.vcpu[vcpu, at.ROW], Event.GUEST_TABLE_PAGES] += 1
            if level == at.PAE_LEVELS and level == levels and process == m.vcpu[vcpu, at.PROCESS]:
                exits += tell_of_pointer(m, core, vcpu)
        table = m.guests.tables[slot] >> at.CHILD_SHIFT
    return table, np.int64(1), own, exits


@kernel
def count_living(m, vm):
    """Count a guest's processes."""
    living = np.int64(0)
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    for process in range(first, first + m.guests.vm[vm, at.SLOTS]):
        living += m.guests.process[process, at.IS_LIVE]
    return living


@kernel
def can_be_large(m, vm, level):
    """Tell whether the guest maps a page by an absent entry of `level` now."""
    return 1 < level <= m.guests.vm[vm, at.GUEST_PAGE] and has_block(m, vm, level)


@part
def make_roots(m, core, vcpu, process):
    """Give a process new roots; return (own cycles, cycles of exits)."""
    vm = m.guests.process[process, at.PROCESS_VM]
    own = exits = np.int64(0)
    has_view = m.guests.vm[vm, at.HAS_KPTI]
    for is_view in range(1 + has_view):
        ppn = take_table_page(m, vm)
        exits += gpa_overwrite(m, core, vcpu, ppn)
        own += m.cost[at.ZERO_PAGE]
        table = new_table(m, ppn)
        m.counters[m.vcpu[vcpu, at.ROW], Event.GUEST_TABLE_PAGES] += 1
        if is_view == 0:
            set_root(m, process, table, ppn)
        else:
            set_view(m, process, table, ppn)
    if m.guests.vm[vm, at.KERNEL_ENTRY]:
        exits += gpt_write(m, core, vcpu, kernel_slot(m, process), m.guests.vm[vm, at.KERNEL_ENTRY])
        own += m.cost[at.GPT_WRITE]
    return own, exits


@kernel
def set_root(m, process, table, ppn):
    """Make a table the root of a process, and of its kernel's view as long as that has none of its own."""
    m.guests.process[process, at.ROOT_TABLE] = table
    m.guests.process[process, at.ROOT_PPN] = ppn
    set_view(m, process, table, ppn)


@kernel
def set_view(m, process, table, ppn):
    """Make a table the root of a process's kernel view."""
    m.guests.process[process, at.KERNEL_ROOT_TABLE] = table
    m.guests.process[process, at.KERNEL_ROOT_PPN] = ppn


@kernel
def kernel_slot(m, process):
    """Return where a root's entry for the kernel's memory lies."""
    vm = m.guests.process[process, at.PROCESS_VM]
    levels = m.guests.vm[vm, at.LEVELS]
    return guest_slot(m, vm, m.guests.process[process, at.KERNEL_ROOT_TABLE], kernel_vpn(levels), levels)


@kernel
def _end_vpn(m, vm):
    """Return where pages end that a process has to itself."""
    levels = m.guests.vm[vm, at.LEVELS]
    if m.guests.vm[vm, at.KERNEL_ENTRY]:
        return kernel_vpn(levels)
    return np.int64(1) << (m.guests.vm[vm, at.INDEX_BITS] * levels)


@kernel
def leaf_slot(m, process, vpn):
    """Return (where the leaf of a page lies, its level), or (-1, 0) if a table on the way is missing."""
    table = m.guests.process[process, at.ROOT_TABLE]
    vm = m.guests.process[process, at.PROCESS_VM]
    for level in range(m.guests.vm[vm, at.LEVELS], 1, -1):
        slot = guest_slot(m, vm, table, vpn, level)
        if m.guests.tables[slot] & at.PRESENT == 0:
            return np.int64(-1), np.int64(0)
        if m.guests.tables[slot] & at.LARGE_PAGE:
            return slot, np.int64(level)
        table = m.guests.tables[slot] >> at.CHILD_SHIFT
    return guest_slot(m, vm, table, vpn, 1), np.int64(1)


@kernel
def table_slot(m, process, vpn):
    """Return where the entry lies that leads to the lowest table above a page, or -1 if there is no such table."""
    vm, table = m.guests.process[process, at.PROCESS_VM], m.guests.process[process, at.ROOT_TABLE]
    slot = np.int64(-1)
    for level in range(m.guests.vm[vm, at.LEVELS], 1, -1):
        slot = guest_slot(m, vm, table, vpn, level)
        if m.guests.tables[slot] & (at.PRESENT | at.LARGE_PAGE) != at.PRESENT:
            return np.int64(-1)
        table = m.guests.tables[slot] >> at.CHILD_SHIFT
    return slot


@kernel
def absent_levels(m, process, vpn):
    """Count the entries that are missing on the way to a page, its leaf among them."""
    table = m.guests.process[process, at.ROOT_TABLE]
    vm = m.guests.process[process, at.PROCESS_VM]
    for level in range(m.guests.vm[vm, at.LEVELS], 0, -1):
        entry = m.guests.tables[guest_slot(m, vm, table, vpn, level)]
        if entry & at.PRESENT == 0:
            return level
        if entry & at.LARGE_PAGE:
            return 0
        table = entry >> at.CHILD_SHIFT
    return 0


@part
def next_present(m, process, vpn, level):
    """Return (the first page at or after `vpn` that has a leaf, where that lies, its level), or (-1, -1, 0).

    A page in the guest's swap area has a leaf, too. With `level` 2 or more, it is an entry of that level that leads to
    a table. The kernel's half is left out: it belongs to all processes.
    """
    vm = m.guests.process[process, at.PROCESS_VM]
    top = m.guests.vm[vm, at.LEVELS]
    end = _end_vpn(m, vm)
    while vpn < end:
        table = m.guests.process[process, at.ROOT_TABLE]
        here = top
        while True:
            slot = guest_slot(m, vm, table, vpn, here)
            is_leaf = here == 1 or m.guests.tables[slot] & at.LARGE_PAGE != 0
            is_present = m.guests.tables[slot] & (at.PRESENT | at.IN_SWAP) != 0
            if is_present and ((is_leaf and level == 1) or (not is_leaf and here == level)):
                return vpn, slot, np.int64(here)
            if is_leaf or not is_present:
                vpn = after(m, vm, vpn, here)
                break
            table = m.guests.tables[slot] >> at.CHILD_SHIFT
            here -= 1
    return np.int64(-1), np.int64(-1), np.int64(0)


@kernel
def after(m, vm, vpn, level):
    """Return the first page behind those that the entry of `level` for a page covers."""
    shift = m.guests.vm[vm, at.INDEX_BITS] * (level - 1)
    return ((vpn >> shift) + 1) << shift


@part
def clear_table(m, core, vcpu, process, vpn, level, slot):
    """Unhang the empty table that an entry of `level` leads to, and free its page; return (own, exits) cycles."""
    vm = m.guests.process[process, at.PROCESS_VM]
    entry = m.guests.tables[slot]
    is_root = level == m.guests.vm[vm, at.LEVELS]
    exits = write_above_leaf(m, core, vcpu, process, vpn, is_root, slot, np.int64(0))
    free_table(m, m.vcpu[vcpu, at.ROW], vm, entry >> at.CHILD_SHIFT, page_of(entry))
    return m.cost[at.GPT_WRITE] * writes(m, process, is_root), exits


@kernel
def free_table(m, row, vm, table, ppn):
    """Give a table and the page that held it back."""
    table_freed(m, vm, table, ppn)
    m.counters[row, Event.TABLE_PAGES_FREED] += 1
    m.guests.vm[vm, at.TABLE_PAGES] -= 1
    for place in range(at.TABLE_ENTRIES * m.cost[at.TABLE_NODES]):
        m.guests.tables[table * at.TABLE_ENTRIES + place] = 0
    m.guests.given_back[m.guests.pool[1]] = table
    m.guests.pool[1] += 1
    unmark_table(m, vm, ppn)
    page_free(m, vm, ppn)


@kernel
def take_table_page(m, vm):
    """Take a guest page that is to hold a page table."""
    ppn = table_page_take(m, vm)
    m.guests.vm[vm, at.TABLE_PAGES] += 1
    mark_table(m, vm, ppn)
    return ppn


@kernel
def writes(m, process, is_root):
    """Return how often an entry is written: one of a root twice where the kernel's view has its own."""
    has_view = m.guests.process[process, at.KERNEL_ROOT_TABLE] != m.guests.process[process, at.ROOT_TABLE]
    return 2 if is_root and has_view else 1


@kernel
def write_above_leaf(m, core, vcpu, process, vpn, is_root, slot, entry):
    """Write an entry above the leaf, one of a root into both; return the cycles of exits."""
    exits = gpt_write(m, core, vcpu, slot, entry)
    if writes(m, process, is_root) == 2:
        vm = m.guests.process[process, at.PROCESS_VM]
        view = guest_slot(m, vm, m.guests.process[process, at.KERNEL_ROOT_TABLE], vpn, m.guests.vm[vm, at.LEVELS])
        exits += gpt_write(m, core, vcpu, view, entry)
    return exits
