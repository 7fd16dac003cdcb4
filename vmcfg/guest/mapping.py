"""System calls that change mappings: mmap, munmap, mprotect, each of the next few pages of a region.

What they write into page tables is real, entry by entry, and what they narrow is flushed as Linux does: page by page
with INVLPG where they are few, all at once by a load of CR3 where they are many. Widening flushes nothing.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import absent_levels, leaf_slot, release_page
from vmcfg.guest.fault import map_page
from vmcfg.guest.switching import FLUSH_ALL_ABOVE, flush_everywhere, interrupt_others, invalidate_page
from vmcfg.hardware.core import walk_key
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.tables import gpt_write
from vmcfg.mmu.walks import page_of
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work


@part
def mmap(m, core, vcpu, event, times):
    """Map those of the event's pages that are absent, as a fault handler would; return the cycles."""
    process = m.vcpu[vcpu, at.PROCESS]
    own = exits = np.int64(0)
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        vpn = nth_page(m, event, times, number)
        slot = leaf_slot(m, process, vpn)
        if slot < 0 or m.guests.tables[slot] & at.PRESENT == 0:
            mapping, leaving, _ = map_page(m, core, vcpu, process, vpn)
            own += mapping
            exits += leaving
    return charge_guest(m, vcpu, own) + exits


@part
def pages_to_map(m, vcpu, event, times):
    """Count the pages that an mmap would take: for absent leaves, and for the tables above them, each once."""
    process = m.vcpu[vcpu, at.PROCESS]
    first = before = nth_page(m, event, times, np.int64(0))
    pages = np.int64(0)
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        vpn = nth_page(m, event, times, number)
        for level in range(absent_levels(m, process, vpn), 0, -1):
            key = walk_key(vpn, level)
            # The pages go round a region, so a table that was counted is that of the page before, or of the first.
            pages += number == 0 or level == 1 or (key != walk_key(before, level) and key != walk_key(first, level))
        before = vpn
    return pages


@part
def munmap(m, core, vcpu, event, times):
    """Unmap those of the event's pages that are present; return the cycles."""
    return _narrow(m, core, vcpu, event, times, at.PRESENT)


@part
def mprotect(m, core, vcpu, event, times):
    """Take W from the event's pages, or give it; return the cycles."""
    if m.work.events[event, work.EVENT_WRITABLE]:
        return _widen(m, core, vcpu, event, times)
    return _narrow(m, core, vcpu, event, times, at.PRESENT | at.WRITABLE)


@kernel
def nth_page(m, event, times, number):
    """Return the n-th of the pages that an event concerns when it happens for the (times + 1)-th time."""
    fields = m.work.events
    first = times * fields[event, work.EVENT_PAGES] + number
    return fields[event, work.EVENT_VPN] + first % fields[event, work.EVENT_REGION]


@kernel
def charge_guest(m, vcpu, cycles):
    """Charge the guest kernel's own work; return it."""
    m.counters[m.vcpu[vcpu, at.ROW], Event.GUEST_CYCLES] += cycles
    return cycles


@kernel
def _narrow(m, core, vcpu, event, times, bits):
    """Unmap the event's pages that have `bits`, or if W is among these take it from them, and flush."""
    pages = m.work.events[event, work.EVENT_PAGES]
    concerned = np.int64(0)
    for number in range(pages):
        concerned += _slot_with(m, vcpu, nth_page(m, event, times, number), bits) >= 0
    if concerned == 0:
        return np.int64(0)
    cycles = charge_guest(m, vcpu, concerned * m.cost[at.GPT_WRITE])
    for number in range(pages):
        vpn = nth_page(m, event, times, number)
        slot = _slot_with(m, vcpu, vpn, bits)
        if slot >= 0:
            cycles += _narrow_entry(m, core, vcpu, slot, bits)
            if concerned <= FLUSH_ALL_ABOVE:
                cycles += invalidate_page(m, core, vcpu, vpn)
    if concerned > FLUSH_ALL_ABOVE:
        cycles += flush_everywhere(m, core, vcpu)
    return cycles + interrupt_others(m, vcpu)


@kernel
def _narrow_entry(m, core, vcpu, slot, bits):
    """Take W from an entry, or the page itself; return the cycles of exits."""
    entry = m.guests.tables[slot]
    if bits & at.WRITABLE:
        return gpt_write(m, core, vcpu, slot, entry & ~np.int64(at.WRITABLE))
    exits = gpt_write(m, core, vcpu, slot, np.int64(0))
    release_page(m, m.vcpu[vcpu, at.VM], page_of(entry))
    return exits


@kernel
def _widen(m, core, vcpu, event, times):
    """Give W to the event's pages that lack it and that no other process shares."""
    base = m.guests.vm[m.vcpu[vcpu, at.VM], at.BASE]
    cycles = np.int64(0)
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        slot = _slot_with(m, vcpu, nth_page(m, event, times, number), at.PRESENT)
        if slot >= 0:
            entry = m.guests.tables[slot]
            if entry & at.WRITABLE == 0 and m.guests.sharers[base + page_of(entry)] == 0:
                cycles += charge_guest(m, vcpu, m.cost[at.GPT_WRITE])
                cycles += gpt_write(m, core, vcpu, slot, entry | at.WRITABLE)
    return cycles


@kernel
def _slot_with(m, vcpu, vpn, bits):
    """Return where the leaf of a page of the loaded process lies if it has all of `bits`, else -1."""
    slot = leaf_slot(m, m.vcpu[vcpu, at.PROCESS], vpn)
    if slot >= 0 and m.guests.tables[slot] & bits == bits:
        return slot
    return np.int64(-1)
