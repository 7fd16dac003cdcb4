"""Small pages that become a large one: what khugepaged does in Linux (transparent huge pages).

The kernel looks at aligned ranges of 2 MiB that lie whole in a region, the next ones in turn. A range is worth it if a
table maps it whose pages all have W and are shared by nobody, and of which no more than `max_absent` are absent; and it
can be done if there is a free block. Then the kernel takes the table away and flushes all of the process (Linux does,
for the range has more pages than are flushed one by one), copies what is there into the block, zeroes the rest, maps
the block by one entry, and frees the old pages and the table.

It is a bet: 512 copies and a flush against all the TLB misses to come. And it may bloat: with Linux's default, 511, a
single page that is used takes 2 MiB (Kwon et al., Coordinated and Efficient Huge Page Management with Ingens, OSDI
2016). Scanning costs an access for each entry of a table that is there.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import free_table, table_slot, write_above_leaf, writes
from vmcfg.guest.mapping import charge_guest
from vmcfg.guest.pages import block_take, has_block, page_free
from vmcfg.guest.switching import flush_everywhere, interrupt_others
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Sized
from vmcfg.mmu.tables import large_leaf_entry
from vmcfg.mmu.walks import page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import gpa_access, gpa_overwrite
from vmcfg.workload import fields as work

MARKS = at.ACCESSED | at.DIRTY


@part
def collapse_ranges(m, core, vcpu, event, times):
    """Collapse those of the event's next ranges that are worth it, in the loaded process; return the cycles."""
    cycles = np.int64(0)
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        vpn = _nth_range(m, event, times, number)
        slot = table_slot(m, m.vcpu[vcpu, at.PROCESS], vpn)
        m.sizes[m.vcpu[vcpu, at.ROW], Sized.RANGES_SCANNED] += 1
        if slot >= 0:
            cycles += charge_guest(m, vcpu, at.TABLE_ENTRIES * m.cost[at.ACCESS])
            if _is_worth(m, vcpu, slot, m.work.events[event, work.EVENT_MAX_ABSENT]):
                cycles += collapse(m, core, vcpu, vpn, slot)
    return cycles


@kernel
def _nth_range(m, event, times, number):
    """Return the first page of the n-th range when the event happens for the (times + 1)-th time."""
    fields = m.work.events
    first = (fields[event, work.EVENT_VPN] + at.TABLE_ENTRIES - 1) // at.TABLE_ENTRIES
    ranges = (fields[event, work.EVENT_VPN] + fields[event, work.EVENT_REGION]) // at.TABLE_ENTRIES - first
    return (first + (times * fields[event, work.EVENT_PAGES] + number) % ranges) * at.TABLE_ENTRIES


@kernel
def _is_worth(m, vcpu, slot, max_absent):
    """Tell whether the table that an entry leads to maps enough pages, all its own to write, and a block is free."""
    vm = m.vcpu[vcpu, at.VM]
    first = (m.guests.tables[slot] >> at.CHILD_SHIFT) * at.TABLE_ENTRIES
    absent = others = 0
    for place in range(first, first + at.TABLE_ENTRIES):
        entry = m.guests.tables[place]
        if entry & at.PRESENT == 0:
            absent += 1
        elif entry & at.WRITABLE == 0 or m.guests.sharers[m.guests.vm[vm, at.BASE] + page_of(entry)]:
            others += 1
    return absent <= max_absent and absent < at.TABLE_ENTRIES and others == 0 and has_block(m, vm, at.BLOCK_LEVEL)


@part
def collapse(m, core, vcpu, vpn, slot):
    """Put one large page in place of those that the table at an entry maps; return the cycles."""
    row, vm, process = m.vcpu[vcpu, at.ROW], m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.PROCESS]
    is_root = m.guests.vm[vm, at.LEVELS] == at.BLOCK_LEVEL
    upper = m.guests.tables[slot]
    block = block_take(m, vm, at.BLOCK_LEVEL)
    exits = write_above_leaf(m, core, vcpu, process, vpn, is_root, slot, np.int64(0))
    exits += flush_everywhere(m, core, vcpu) + interrupt_others(m, vcpu)
    own, leaving, marks = _move(m, core, vcpu, upper >> at.CHILD_SHIFT, block)
    free_table(m, row, vm, upper >> at.CHILD_SHIFT, page_of(upper))
    exits += write_above_leaf(m, core, vcpu, process, vpn, is_root, slot, large_leaf_entry(block) | marks)
    own += 2 * m.cost[at.GPT_WRITE] * writes(m, process, is_root)
    m.sizes[row, Sized.COLLAPSED] += 1
    return charge_guest(m, vcpu, own) + exits + leaving


@kernel
def _move(m, core, vcpu, table, block):
    """Copy a table's pages into a block, and free them; return (own cycles, cycles of exits, the A and D of any)."""
    row, vm = m.vcpu[vcpu, at.ROW], m.vcpu[vcpu, at.VM]
    own = exits = marks = np.int64(0)
    for number in range(at.TABLE_ENTRIES):
        entry = m.guests.tables[table * at.TABLE_ENTRIES + number]
        if entry & at.PRESENT:
            exits += gpa_access(m, core, vcpu, page_of(entry))
            exits += gpa_overwrite(m, core, vcpu, block + number)
            own += m.cost[at.COPY_PAGE]
            marks |= entry & MARKS
            page_free(m, vm, page_of(entry))
            m.sizes[row, Sized.COLLAPSE_COPIED] += 1
        else:
            if m.guests.vm[vm, at.ZEROES]:
                exits += gpa_overwrite(m, core, vcpu, block + number)
                own += m.cost[at.ZERO_PAGE]
            m.sizes[row, Sized.COLLAPSE_ADDED] += 1
    return own, exits, marks
