"""A guest's swap area as its page tables see it: entries that lead to a slot, and pages that come back from one.

A page goes out by `guest.reclaim`. Its leaf then says IN_SWAP and which slot, and keeps W; a slot knows how many leaves
say so, for a fork copies them. A fault on such a leaf is a *major* one: a page is taken, the disk reads into it past
all TLBs, as devices do, and whoever touched it waits. Each process gets a page of its own from a slot they shared.

What a disk reads into may be out of memory itself, paged out by the host. Then the host reads the old content only for
it to be overwritten (a *stale read*): the guest's page-in has become a double one.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.data_pages import note_mapped
from vmcfg.guest.pages import page_take
from vmcfg.guest.refaults import drop_mark, find_mark, place_of_slot
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.tables import gpt_write, leaf_entry
from vmcfg.mmu.walks import page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.paging import is_swapped
from vmcfg.vmm.swap import area_of, slot_count, slot_free, transfer
from vmcfg.vmm.verbs import gpa_read_into


@kernel
def swap_entry(slot, entry):
    """Return the leaf of a page that is in a slot, out of the one that mapped it."""
    return (slot << at.PPN_SHIFT) | at.IN_SWAP | (entry & at.WRITABLE)


@kernel
def share_slot(m, vm, entry):
    """Note one more leaf that leads to a slot."""
    slot_count(m, area_of(vm), page_of(entry), np.int64(1))


@kernel
def release_slot(m, vcpu, vm, slot):
    """Note that a leaf leads to a slot no more, and give the slot back after the last one."""
    if slot_count(m, area_of(vm), slot, np.int64(-1)) == 0:
        slot_free(m, area_of(vm), slot)
        drop_mark(m, vm, place_of_slot(m, vm, slot))
        m.counters[m.vcpu[vcpu, at.ROW], Event.GUEST_SLOTS_FREED] += 1


@part
def swap_in(m, core, vcpu, vpn, leaf):
    """Bring the page of a leaf that is IN_SWAP back; return (own cycles, cycles of exits)."""
    entry = m.guests.tables[leaf]
    ppn, exits = read_slot(m, core, vcpu, page_of(entry))
    bits = at.WRITABLE * np.int64(entry & at.WRITABLE != 0)
    exits += gpt_write(m, core, vcpu, leaf, (leaf_entry(ppn) & ~np.int64(at.WRITABLE)) | bits)
    note_mapped(m, m.vcpu[vcpu, at.PROCESS], vpn, leaf)
    return m.cost[at.GPT_WRITE], exits


@part
def read_slot(m, core, vcpu, slot):
    """Read a slot, for one of those that lead to it, into a new page; return (the page, cycles of exits)."""
    row, vm = m.vcpu[vcpu, at.ROW], m.vcpu[vcpu, at.VM]
    ppn = page_take(m, vm)
    m.counters[row, Event.DOUBLE_PAGE_INS] += is_swapped(m, m.guests.vm[vm, at.BASE] + ppn)
    exits = gpa_read_into(m, core, vcpu, ppn)
    now = max(m.core[core, at.CLOCK], m.vcpu[vcpu, at.WAITS_UNTIL])
    m.vcpu[vcpu, at.WAITS_UNTIL] = transfer(m, area_of(vm), now, slot, np.int64(1), np.int64(0))
    find_mark(m, vm, m.guests.vm[vm, at.BASE] + ppn, place_of_slot(m, vm, slot))
    release_slot(m, vcpu, vm, slot)
    m.counters[row, Event.MAJOR_FAULTS] += 1
    m.counters[row, Event.GUEST_PAGE_INS] += 1
    return ppn, exits
