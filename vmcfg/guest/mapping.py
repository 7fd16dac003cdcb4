"""System calls that change mappings: mmap, munmap, mprotect, each of the next few pages of a region.

What they write into page tables is real, entry by entry, and what they narrow is flushed as Linux does: page by page
with INVLPG where they are few, all at once by a load of CR3 where they are many. Widening flushes nothing.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import absent_levels, can_be_large, leaf_slot
from vmcfg.guest.data_pages import harvest_dirty, is_shared, release_page
from vmcfg.guest.fault import map_page
from vmcfg.guest.file_mapping import map_file_page
from vmcfg.guest.shared_memory import free_if_last
from vmcfg.guest.splitting import split_to
from vmcfg.guest.swapping import release_slot
from vmcfg.guest.switching import FLUSH_ALL_ABOVE, flush_everywhere, interrupt_others, invalidate_page
from vmcfg.hardware.core import entry_key, walk_key
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Sized
from vmcfg.mmu.tables import gpt_write
from vmcfg.mmu.walks import page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import NO_PAGE, page_at, shared_at
from vmcfg.vmm.frames import pages_below
from vmcfg.workload import fields as work


@part
def mmap(m, core, vcpu, event, times):
    """Map those of the event's pages that are absent, as a fault handler would; return the cycles."""
    process = m.vcpu[vcpu, at.PROCESS]
    own = exits = np.int64(0)
    m.host.counts[at.PROMISED] = most_to_map(m, vcpu, event)  # nothing is read along into what these will take
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        vpn = nth_page(m, event, times, number)
        slot, _ = leaf_slot(m, process, vpn)
        if slot < 0 or m.guests.tables[slot] & (at.PRESENT | at.IN_SWAP) == 0:
            mapping, leaving = _map_ahead(m, core, vcpu, process, vpn)
            own += mapping
            exits += leaving
    m.host.counts[at.PROMISED] = 0
    return charge_guest(m, vcpu, own) + exits


@kernel
def most_to_map(m, vcpu, event):
    """Bound the pages that an mmap takes: each with tables of its own, each large one whole."""
    vm = m.vcpu[vcpu, at.VM]
    span = m.work.events[event, work.EVENT_PAGES]
    most = span + (span // at.TABLE_ENTRIES + 3) * (m.guests.vm[vm, at.LEVELS] - 1)
    size = m.guests.vm[vm, at.GUEST_PAGE]
    return most + (span // pages_below(size) + 3) * with_tables(size) if size > 1 else most


@kernel
def _map_ahead(m, core, vcpu, process, vpn):
    """Map an absent page before it is touched; return (own cycles, cycles of exits)."""
    page = page_at(m, m.vcpu[vcpu, at.VM], vpn)
    if page != NO_PAGE:
        return map_file_page(m, core, vcpu, process, vpn, page)
    own, exits, level = map_page(m, core, vcpu, process, vpn)
    count_large(m, vcpu, level, Sized.LARGE_MAPPED)
    return own, exits


@part
def pages_to_map(m, vcpu, event, times):
    """Count the pages that an mmap would take: for absent leaves, and for the tables above them, each once.

    Where a large page may be mapped, it counts as one with its tables, as if there were blocks for all: a bound.
    """
    vm = m.vcpu[vcpu, at.VM]
    process = m.vcpu[vcpu, at.PROCESS]
    bits = m.guests.vm[vm, at.INDEX_BITS]
    first = before = nth_page(m, event, times, np.int64(0))
    pages = np.int64(0)
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        vpn = nth_page(m, event, times, number)
        for level in range(absent_levels(m, process, vpn), 0, -1):
            key = entry_key(vpn, level, bits)
            # The pages go round a region, so a table that was counted is that of the page before, or of the first.
            is_other = key != entry_key(before, level, bits) and key != entry_key(first, level, bits)
            is_new = number == 0 or level == 1 or is_other
            if can_be_large(m, vm, level):
                pages += is_new * with_tables(level)
                break
            pages += is_new and (level > 1 or shared_at(m, vm, vpn) == NO_PAGE)
        before = vpn
    return pages


@part
def munmap(m, core, vcpu, event, times):
    """Unmap those of the event's pages that are present; return the cycles."""
    cycles = _narrow(m, core, vcpu, event, times, at.PRESENT)
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        page = page_at(m, m.vcpu[vcpu, at.VM], nth_page(m, event, times, number))
        free_if_last(m, vcpu, page, page + 1)
    return cycles


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


@part
def pages_to_split(m, vcpu, event, times, bits):
    """Count the tables that an munmap or mprotect of pages with `bits` would take, to split large pages."""
    pages = number = np.int64(0)
    before = np.int64(-1)
    while number < m.work.events[event, work.EVENT_PAGES]:
        vpn = nth_page(m, event, times, number)
        slot, level = _leaf_with(m, vcpu, vpn, bits)
        whole = _whole_level(m, event, vpn, number, level)
        if slot >= 0:
            for split in range(level, whole, -1):
                pages += before < 0 or walk_key(vpn, split) != walk_key(before, split)
        before = vpn
        number += pages_below(whole)
    return pages


@kernel
def with_tables(level):
    """Return how many pages a large page of `level` takes, or 4 KiB pages in its place with the tables above them."""
    pages = np.int64(0)
    for below in range(1, level + 1):
        pages += pages_below(below)
    return pages


@kernel
def count_large(m, vcpu, level, which):
    """Count a page under `which`, if it is a large one."""
    if level > 1:
        m.sizes[m.vcpu[vcpu, at.ROW], which] += 1


@kernel
def _narrow(m, core, vcpu, event, times, bits):
    """Unmap the event's pages that have `bits`, or if W is among these take it from them, and flush."""
    concerned = _leaves_with(m, vcpu, event, times, bits)
    if concerned == 0:
        return np.int64(0)
    cycles = charge_guest(m, vcpu, concerned * m.cost[at.GPT_WRITE])
    number = np.int64(0)
    while number < m.work.events[event, work.EVENT_PAGES]:
        vpn = nth_page(m, event, times, number)
        slot, level = _leaf_with(m, vcpu, vpn, bits)
        whole = _whole_level(m, event, vpn, number, level)
        if slot >= 0:
            slot, splitting, leaving = split_to(m, core, vcpu, vpn, whole)
            cycles += charge_guest(m, vcpu, splitting) + leaving
            cycles += _narrow_entry(m, core, vcpu, slot, whole, bits)
            if concerned <= FLUSH_ALL_ABOVE:
                cycles += invalidate_page(m, core, vcpu, vpn, whole)
        number += pages_below(whole)
    if concerned > FLUSH_ALL_ABOVE:
        cycles += flush_everywhere(m, core, vcpu)
    return cycles + interrupt_others(m, vcpu)


@kernel
def _leaves_with(m, vcpu, event, times, bits):
    """Count the leaves, of whatever size, that an event narrows: large pages that it concerns whole are one."""
    leaves = number = np.int64(0)
    while number < m.work.events[event, work.EVENT_PAGES]:
        vpn = nth_page(m, event, times, number)
        slot, level = _leaf_with(m, vcpu, vpn, bits)
        leaves += slot >= 0
        number += pages_below(_whole_level(m, event, vpn, number, level))
    return leaves


@kernel
def _narrow_entry(m, core, vcpu, slot, level, bits):
    """Take W from a leaf of `level`, or the page itself; return the cycles of exits."""
    entry = m.guests.tables[slot]
    if bits & at.WRITABLE:
        return gpt_write(m, core, vcpu, slot, entry & ~np.int64(at.WRITABLE))
    exits = gpt_write(m, core, vcpu, slot, np.int64(0))
    count_large(m, vcpu, level, Sized.LARGE_UNMAPPED)
    if entry & at.IN_SWAP:
        release_slot(m, vcpu, m.vcpu[vcpu, at.VM], page_of(entry))
    else:
        harvest_dirty(m, m.vcpu[vcpu, at.VM], entry)
        release_page(m, m.vcpu[vcpu, at.VM], slot, page_of(entry), level)
    return exits


@kernel
def _widen(m, core, vcpu, event, times):
    """Give W to the event's pages that lack it and that no other process shares, not even in a part."""
    vm = m.vcpu[vcpu, at.VM]
    cycles = number = np.int64(0)
    while number < m.work.events[event, work.EVENT_PAGES]:
        vpn = nth_page(m, event, times, number)
        slot, level = _leaf_with(m, vcpu, vpn, at.PRESENT)
        whole = _whole_level(m, event, vpn, number, level)
        if slot >= 0 and _may_be_widened(m, vm, m.guests.tables[slot], level):
            slot, splitting, leaving = split_to(m, core, vcpu, vpn, whole)
            cycles += charge_guest(m, vcpu, splitting + m.cost[at.GPT_WRITE]) + leaving
            cycles += gpt_write(m, core, vcpu, slot, m.guests.tables[slot] | at.WRITABLE)
        number += pages_below(whole)
    return cycles


@kernel
def _may_be_widened(m, vm, entry, level):
    if entry & at.IN_SWAP:
        return entry & at.WRITABLE == 0
    return entry & at.WRITABLE == 0 and not is_shared(m, vm, page_of(entry), level)


@kernel
def _leaf_with(m, vcpu, vpn, bits):
    """Return (where the leaf of a page of the loaded process lies if it has all of `bits`, its level), else (-1, 1)."""
    slot, level = leaf_slot(m, m.vcpu[vcpu, at.PROCESS], vpn)
    if slot >= 0:
        is_there = at.PRESENT if m.guests.tables[slot] & at.IN_SWAP else 0  # for a process, it is, wherever it is
        if (m.guests.tables[slot] | is_there) & bits == bits:
            return slot, level
    return np.int64(-1), np.int64(1)


@kernel
def _whole_level(m, event, vpn, number, level):
    """Return the largest level, up to that of its leaf, of a page that begins at an event's n-th and lies all in it."""
    left = m.work.events[event, work.EVENT_PAGES] - number
    region_left = m.work.events[event, work.EVENT_VPN] + m.work.events[event, work.EVENT_REGION] - vpn
    while level > 1 and (vpn & (pages_below(level) - 1) or pages_below(level) > min(left, region_left)):
        level -= 1
    return level
