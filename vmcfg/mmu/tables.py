"""`gpt_write`: the one verb by which a guest changes its page tables.

Each MMU mode answers it in its own way. In `native` and `nested` the write is an ordinary store, which costs
what a store costs and tells nobody; in `paravirt` the VMM makes it; in `shadow` it may meet a write-protected table.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import GUEST, fold
from vmcfg.hardware.core import TABLE_BITS
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu import paravirt, shadow_answers
from vmcfg.mmu.walks import PARAVIRT
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import gpa_written, is_backed


@kernel
def leaf_entry(ppn):
    """Return a present, writable entry that maps a data page, with A = D = 0."""
    return (ppn << at.PPN_SHIFT) | at.WRITABLE | at.PRESENT


@kernel
def large_leaf_entry(ppn):
    """Return the same for a page of 2 MiB or 1 GiB, in a table of level 2 or 3."""
    return leaf_entry(ppn) | at.LARGE_PAGE


@kernel
def part_of_leaf(leaf, level, number):
    """Return the entry of the n-th of the 512 parts that a large leaf of `level` falls into: as it is in all else."""
    entry = leaf + ((number << (TABLE_BITS * (level - 2))) << at.PPN_SHIFT)
    return entry & ~np.int64(at.LARGE_PAGE) if level == at.BLOCK_LEVEL else entry


@kernel
def table_entry(ppn, child):
    """Return a present, writable entry that leads to a table: its page, and where its entries lie."""
    return (child << at.CHILD_SHIFT) | leaf_entry(ppn)


@kernel
def new_table(m, ppn):
    """Return the index of an unused, zeroed table in `guests.tables`, which is to lie in the page `ppn`."""
    if m.guests.pool[1] > 0:
        m.guests.pool[1] -= 1
        table = np.int64(m.guests.given_back[m.guests.pool[1]])
    else:
        table = m.guests.pool[0]
        m.guests.pool[0] += m.cost[at.TABLE_NODES]
    m.guests.ppns[table] = ppn
    return table


@kernel
def gpt_write(m, core, vcpu, slot, entry):
    """Let the guest write one page-table entry; return the cycles that the VMM makes of it."""
    m.counters[m.vcpu[vcpu, at.ROW], Event.GPT_WRITES] += 1
    fold(m.digest, GUEST, (slot << 40) ^ entry)
    if m.cost[at.MODE] == PARAVIRT:
        return paravirt.update(m, core, vcpu, slot, entry)
    m.guests.tables[slot] = entry
    if m.cost[at.MODE] == at.SHADOW:
        return shadow_answers.written(m, core, vcpu, slot)
    if m.cost[at.HAS_ROUNDS]:
        return _note_write(m, core, vcpu, slot)
    return np.int64(0)


@part
def _note_write(m, core, vcpu, slot):
    """Have it known that a page that holds a table is written, unless it has no frame: then the next walk reads it."""
    table = slot // at.TABLE_ENTRIES
    ppn = np.int64(m.guests.ppns[table - table % m.cost[at.TABLE_NODES]])
    return gpa_written(m, core, vcpu, ppn, False, False) if is_backed(m, m.vcpu[vcpu, at.VM], ppn) else np.int64(0)


@kernel
def entry_settled(m, slot):
    """Tell the mode that an entry of a process was changed that may not be loaded just now."""
    if m.cost[at.MODE] == at.SHADOW:
        shadow_answers.entry_settled(m, slot)


@kernel
def table_freed(m, vm, table, ppn):
    """Tell the mode that a guest has given the page of a page table back."""
    if m.cost[at.MODE] == at.SHADOW:
        shadow_answers.table_freed(m, vm, table, ppn)
