"""All mappings of a data page at once: taken away because the page goes, or cleaned because it is written.

A page is found by one leaf that maps it; processes that share it map it at the same virtual page. What narrows a leaf
is flushed wherever the process may run.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import leaf_slot
from vmcfg.guest.data_pages import harvest_dirty, home_of
from vmcfg.guest.mapping import charge_guest
from vmcfg.guest.swapping import swap_entry
from vmcfg.guest.switching import invalidate_for
from vmcfg.jit import kernel, part
from vmcfg.mmu.tables import entry_settled, gpt_write
from vmcfg.mmu.walks import page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import is_of_file
from vmcfg.vmm.swap import NO_SLOT, area_of, slot_count


@part
def unmap_everywhere(m, core, vcpu, gpid, slot):
    """Let every leaf that maps a page lead to its slot instead, or to nothing with NO_SLOT; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    ppn = gpid - m.guests.vm[vm, at.BASE]
    process, vpn = home_of(m, np.int64(m.guests.where[gpid]) - 1)
    cycles = _unmap(m, core, vcpu, process, vpn, np.int64(m.guests.where[gpid]) - 1, slot)
    m.guests.where[gpid] = 0
    m.guests.sharers[gpid] -= is_of_file(m, vm, gpid)  # of which the first mapping counts, too
    other = m.guests.vm[vm, at.FIRST_PROCESS]
    while m.guests.sharers[gpid]:
        leaf, _ = leaf_slot(m, other, vpn)
        if m.guests.process[other, at.IS_LIVE] and leaf >= 0 and _maps(m, leaf, ppn):
            cycles += _unmap(m, core, vcpu, other, vpn, leaf, slot)
            if slot != NO_SLOT:
                slot_count(m, area_of(vm), slot, np.int64(1))
            m.guests.sharers[gpid] -= 1
        other += 1
    return cycles


@part
def dirty_leaf(m, vm, gpid, first):
    """Return (a leaf with D that maps a page, its process, its virtual page), from the process `first` on, or -1s."""
    if m.guests.where[gpid] == 0:
        return np.int64(-1), np.int64(-1), np.int64(-1)
    _, vpn = home_of(m, np.int64(m.guests.where[gpid]) - 1)
    for process in range(first, m.guests.vm[vm, at.FIRST_PROCESS] + m.guests.vm[vm, at.SLOTS]):
        if m.guests.process[process, at.IS_LIVE]:
            leaf, _ = leaf_slot(m, process, vpn)
            is_mapped = leaf >= 0 and _maps(m, leaf, gpid - m.guests.vm[vm, at.BASE])
            if is_mapped and m.guests.tables[leaf] & at.DIRTY:
                return leaf, np.int64(process), vpn
    return np.int64(-1), np.int64(-1), np.int64(-1)


@part
def clean_everywhere(m, core, vcpu, gpid):
    """Take D from every leaf that maps a page, so that the next store is seen again; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    cycles = np.int64(0)
    leaf, process, vpn = dirty_leaf(m, vm, gpid, m.guests.vm[vm, at.FIRST_PROCESS])
    while leaf >= 0:
        cycles += charge_guest(m, vcpu, m.cost[at.GPT_WRITE])
        cycles += gpt_write(m, core, vcpu, leaf, m.guests.tables[leaf] & ~np.int64(at.DIRTY))
        cycles += invalidate_for(m, core, vcpu, process, vpn)
        entry_settled(m, leaf)
        leaf, process, vpn = dirty_leaf(m, vm, gpid, process + 1)
    return cycles


@kernel
def _maps(m, leaf, ppn):
    return m.guests.tables[leaf] & at.PRESENT != 0 and page_of(m.guests.tables[leaf]) == ppn


@kernel
def _unmap(m, core, vcpu, process, vpn, leaf, slot):
    """Let one leaf lead to a slot, or to nothing, and flush what it mapped; return the cycles."""
    entry = m.guests.tables[leaf]
    harvest_dirty(m, m.vcpu[vcpu, at.VM], entry)
    cycles = charge_guest(m, vcpu, m.cost[at.GPT_WRITE])
    cycles += gpt_write(m, core, vcpu, leaf, np.int64(0) if slot == NO_SLOT else swap_entry(slot, entry))
    cycles += invalidate_for(m, core, vcpu, process, vpn)
    entry_settled(m, leaf)
    return cycles
