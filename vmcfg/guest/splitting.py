"""A large page that is no longer one thing: the guest splits its entry into 512 of the next smaller size.

A part of it is unmapped or protected, or a process stores to a part that it shares: what then differs within the page
needs an entry of its own. The guest takes a page for a table, writes all 512 entries as the large one was (with its W,
A and D), puts the table in place of the large entry, and flushes that. No page is copied, and none moves: the parts lie
where they lay, and other processes may go on to map them by their own large entry. A page of 1 GiB becomes pages of
2 MiB first. This is what Linux does with its transparent huge pages, where it is called splitting the mapping.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import leaf_slot, take_table_page, write_above_leaf, writes
from vmcfg.guest.switching import interrupt_others, invalidate_page
from vmcfg.jit import part
from vmcfg.metrics.events import Event, Sized
from vmcfg.mmu.tables import gpt_write, new_table, part_of_leaf, table_entry
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import gpa_overwrite


@part
def split_to(m, core, vcpu, vpn, wanted):
    """Split the large leaf of a page of the loaded process until the page's own is of level `wanted`.

    Returns (where that lies, own cycles, cycles of exits and flushes).
    """
    own = exits = np.int64(0)
    slot, level = leaf_slot(m, m.vcpu[vcpu, at.PROCESS], vpn)
    while level > wanted:
        splitting, leaving = split(m, core, vcpu, vpn, slot, level)
        own += splitting
        exits += leaving
        slot, level = leaf_slot(m, m.vcpu[vcpu, at.PROCESS], vpn)
    return slot, own, exits


@part
def split(m, core, vcpu, vpn, slot, level):
    """Put a table in place of a large leaf; return (own cycles, cycles of exits and flushes)."""
    row, vm, process = m.vcpu[vcpu, at.ROW], m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.PROCESS]
    leaf = m.guests.tables[slot]
    ppn = take_table_page(m, vm)
    exits = gpa_overwrite(m, core, vcpu, ppn)
    table = new_table(m, ppn)
    for number in range(at.TABLE_ENTRIES):
        part_entry = part_of_leaf(leaf, level, number)
        exits += gpt_write(m, core, vcpu, table * at.TABLE_ENTRIES + number, part_entry)
    is_root = level == m.guests.vm[vm, at.LEVELS]
    exits += write_above_leaf(m, core, vcpu, process, vpn, is_root, slot, table_entry(ppn, table))
    exits += invalidate_page(m, core, vcpu, vpn, level) + interrupt_others(m, vcpu)
    m.counters[row, Event.GUEST_TABLE_PAGES] += 1
    m.sizes[row, Sized.GUEST_SPLITS] += 1
    if level > at.BLOCK_LEVEL:
        m.sizes[row, Sized.LARGE_MAPPED] += at.TABLE_ENTRIES
    return m.cost[at.GPT_WRITE] * (at.TABLE_ENTRIES + writes(m, process, is_root)), exits
