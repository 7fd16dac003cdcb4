"""`nested`: hardware walks two tables at once (Intel EPT, AMD NPT).

Who keeps which table: the guest its own page table (VPN → PPN), the VMM one table per VM (PPN → MPN).
What is write-protected: nothing. What exits: only the first touch of a guest page without a frame, and touches
of pages that the VMM took away. What it costs: each guest table that is read is itself a guest page whose
address must be translated, so a walk of g guest levels over h host levels reads up to g·(h + 1) + h entries:

        root ──host walk──► L4 entry ──host walk──► L3 ──► L2 ──► L1 entry ──host walk──► the page
              h               1         h            1 …                    h

That is 24 references for 4 on 4, where native takes 4. Three caches take references away: guest-dimension walk
caches (their entries are combined: they lead straight to the next table's frame), host-dimension walk caches,
and the nested TLB (one hit replaces a whole host walk). It loses where TLB misses are many and page tables quiet; it
wins wherever guests change their tables (Bhargava et al., ASPLOS 2008).
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import GUEST_WALK, HOST_WALK, STORES, TABLE_BITS, walk_key
from vmcfg.jit import kernel, part, unlikely
from vmcfg.mmu.nested_tlb import ABSENT, keep, probe
from vmcfg.mmu.references import frame_of_table, reference_cycles
from vmcfg.mmu.walks import (
    COMPLETE,
    GUEST_PAGE_FAULT,
    HOST_VIOLATION,
    LOG_FULL,
    begin,
    fill_walk_cache,
    is_dirty_entry,
    is_guest_leaf,
    leaves_of,
    page_of,
    probe_walk_caches,
    read_guest_entry,
    slot_among,
)
from vmcfg.vmm import machine as at
from vmcfg.vmm.dirty_log import BY_PML, log_page, must_exit
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.large_pages import MARKS, level_behind

NO_ROOM = np.int64(-1)  # no pmap entry either: A or D must be set, and the VMM be asked before


@kernel
def walk(m, walker, vpn, is_store, is_quiet, is_lean):
    """Walk both tables for one page; a quiet walk (for D alone) changes nothing in the walk caches.

    Returns what `mmu.walks` says that a walk returns.
    """
    caches = walker.core * STORES + GUEST_WALK
    found, table = probe_walk_caches(
        m.stores, caches, walker.levels, walker.space, vpn, walker.bits, is_quiet, is_lean
    )
    guest_hits = np.int64(found <= walker.levels)
    zero = host_hits = nested_hits = guest_refs = host_refs = cycles = ppn = leaves = np.int64(0)
    is_dirty = np.int64(not is_lean and walker.levels == 0)  # without paging no guest lacks D
    leaf = np.int64(1)
    if not guest_hits:
        table, ppn, is_there = begin(m, walker, vpn, is_lean)
        if not is_there:
            return GUEST_PAGE_FAULT, zero, zero, zero, zero, zero, zero, zero, zero, zero
    for level in range(found - 1, 0, -1):
        if level < found - 1 or not guest_hits:  # a combined entry leads to the next table's frame
            page, refs, hit, nested_hit, reads = _translate(m, walker, ppn, True, is_store, is_quiet, is_lean)
            cycles += reads
            host_refs += refs
            host_hits += hit
            nested_hits += nested_hit
            if unlikely(_is_stopped(page, is_lean)):
                end = _why(page)
                return end, ppn, zero, guest_refs, host_refs, guest_hits, host_hits, nested_hits, cycles, zero
        cycles += reference_cycles(m, walker, frame_of_table(m, walker, table), vpn, level, walker.bits)
        entry = read_guest_entry(m, slot_among(table, vpn, level, walker.bits), level, is_store, is_lean)
        guest_refs += 1
        if unlikely(entry & at.PRESENT == 0):
            end = GUEST_PAGE_FAULT
            return end, ppn, zero, guest_refs, host_refs, guest_hits, host_hits, nested_hits, cycles, zero
        ppn = page_of(entry)
        if is_guest_leaf(entry, level, is_lean):
            is_dirty = is_dirty_entry(entry)
            leaf = np.int64(level)
            if not is_lean:
                ppn += vpn & (pages_below(level) - 1)
            break
        table = entry >> at.CHILD_SHIFT
        if not is_quiet:
            fill_walk_cache(m.stores, caches + level, level, walker.space, vpn, walker.bits, table, is_lean)
    page, refs, hit, nested_hit, reads = _translate(m, walker, ppn, False, is_store, is_quiet, is_lean)
    cycles += reads
    host_refs += refs
    host_hits += hit
    nested_hits += nested_hit
    if unlikely(_is_stopped(page, is_lean)):
        end = _why(page)
        return end, ppn, zero, guest_refs, host_refs, guest_hits, host_hits, nested_hits, cycles, zero
    frame = page >> at.MPN_SHIFT
    if m.cost[at.HAS_EPT_AD] and page & at.HOST_DIRTY == 0:
        is_dirty = np.int64(0)
    if not is_lean:
        behind = level_behind(m, walker.vm, ppn)
        leaves = leaves_of(leaf if walker.levels else behind, behind)
    return COMPLETE, frame, is_dirty, guest_refs, host_refs, guest_hits, host_hits, nested_hits, cycles, leaves


@kernel
def _translate(m, walker, ppn, is_table, is_store, is_quiet, is_lean):
    """Walk the host table for one guest page.

    Returns (its pmap entry, references, walk-cache hits, nested TLB hits, cycles of the references). The entry is
    ABSENT after a violation, NO_ROOM where the log is full, and after a hit in the nested TLB what that knows of it.
    """
    is_write = is_table or is_store
    holds_data = not is_lean and m.cost[at.NESTED_TLB_HOLDS_DATA] != 0
    if is_table or holds_data:
        page = probe(m, walker, ppn, is_write, holds_data, is_quiet, is_lean)
        if page != ABSENT:
            return page, np.int64(0), np.int64(0), np.int64(1), np.int64(0)
    caches = walker.core * STORES + HOST_WALK
    level, child = probe_walk_caches(
        m.stores, caches, walker.host_levels, walker.vm, ppn, TABLE_BITS, is_quiet, is_lean
    )
    hits = np.int64(level <= walker.host_levels)
    table = child - 1 if hits else m.guests.vm[walker.vm, at.EPT_ROOT]  # frames: entries hold them plus one
    refs = np.int64(0)
    cycles = np.int64(0)
    for below in range(walker.host_levels, 1, -1):  # in lean loops from a constant: they are unrolled
        if below >= level:
            continue
        refs += 1
        cycles += reference_cycles(m, walker, table, ppn, below, TABLE_BITS)
        place = m.guests.vm[walker.vm, at.EPT + below] + walk_key(ppn, below)
        child = np.int64(m.host.ept[place])
        if unlikely(child == 0):
            return ABSENT, refs, hits, np.int64(0), cycles
        if not is_lean and child < 0:
            page = _read_large_leaf(m, walker, place, walker.base + ppn, is_write)
            if page > ABSENT and (is_table or holds_data):
                keep(m, walker, ppn, page, holds_data, is_quiet, is_lean)
            return page, refs, hits, np.int64(0), cycles
        if not is_quiet:
            fill_walk_cache(m.stores, caches + below, below, walker.vm, ppn, TABLE_BITS, child, is_lean)
        table = child - 1
    if walker.host_levels == 1:
        table += walk_key(ppn, 2)  # a flat table goes on from frame to frame
    cycles += reference_cycles(m, walker, table, ppn, 1, TABLE_BITS)
    page = _read_host_leaf(m, walker, walker.base + ppn, is_write, is_lean)
    if page > ABSENT and (is_table or holds_data):
        keep(m, walker, ppn, page, holds_data, is_quiet, is_lean)
    return page, refs + 1, hits, np.int64(0), cycles


@kernel
def _is_stopped(page, is_lean):
    """Tell whether what the host's walk has found is no page but ABSENT or NO_ROOM; lean hosts log nothing."""
    return page == ABSENT or (not is_lean and page == NO_ROOM)


@kernel
def _why(page):
    """Return how a walk ends that its host's half has stopped."""
    return HOST_VIOLATION if page == ABSENT else LOG_FULL


@kernel
def _read_host_leaf(m, walker, gpid, is_write, is_lean):
    """Read a leaf as the processor does, which may set A and D. Return the pmap entry behind it, ABSENT or NO_ROOM.

    Reading a guest table counts as a write.
    """
    page = m.host.pmap[gpid]
    if unlikely(page & at.KIND_MASK != at.PRIVATE):
        return ABSENT
    if m.cost[at.HAS_EPT_AD]:
        wanted = page | at.HOST_ACCESSED
        if is_write:
            wanted |= at.HOST_DIRTY
        if unlikely(wanted != page):
            if not is_lean and m.cost[at.LOGGING]:
                is_clean = (wanted ^ page) & at.HOST_DIRTY != 0
                if must_exit(m, walker.vcpu, is_clean):
                    return NO_ROOM
                if is_clean:
                    log_page(m, walker.vcpu, gpid)
            m.host.pmap[gpid] = wanted
        return wanted
    return page


@part
def _read_large_leaf(m, walker, place, gpid, is_write):
    """Read the leaf of a large host page likewise, at a place of the EPT above its lowest level.

    Returns the pmap entry of the page with the A and D of the leaf, or NO_ROOM.
    """
    leaf = np.int64(m.host.ept[place])
    if m.cost[at.HAS_EPT_AD]:
        wanted = leaf | at.HOST_ACCESSED
        if is_write:
            wanted |= at.HOST_DIRTY
        if wanted != leaf and m.cost[at.LOGGING] == BY_PML:
            is_clean = (wanted ^ leaf) & at.HOST_DIRTY != 0
            if must_exit(m, walker.vcpu, is_clean):
                return NO_ROOM
            if is_clean:
                log_page(m, walker.vcpu, gpid)
        m.host.ept[place] = leaf = wanted
    return (m.host.pmap[gpid] & ~np.int64(MARKS)) | (leaf & MARKS)
