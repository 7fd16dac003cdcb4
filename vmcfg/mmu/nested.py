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

from typing import NamedTuple

import numpy as np

from vmcfg.hardware.core import GUEST_WALK, HOST_WALK, STORES, TABLE_BITS, walk_key
from vmcfg.jit import kernel, part, unlikely
from vmcfg.mmu.nested_tlb import ABSENT, keep, probe
from vmcfg.mmu.references import frame_of_table, refer
from vmcfg.mmu.tally import GUEST_HIT, GUEST_REF, HOST_HIT, HOST_REF, NESTED_HIT
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

Integer = int | np.int64


class Way(NamedTuple):
    """How far a walk has come through the guest's table."""

    end: Integer  # COMPLETE: so far
    table: Integer  # where it goes on
    ppn: Integer  # the page of that table; of the data, when there is a leaf
    is_known: bool  # a combined entry led to the table's frame
    leaf: Integer  # level of the leaf; 0 before there is one
    entry: Integer  # the leaf
    tally: Integer


@kernel
def walk(m, walker, vpn, is_store, is_quiet, is_lean):
    """Walk both tables for one page; a quiet walk (for D alone) changes nothing in the walk caches.

    Returns what `mmu.walks` says that a walk returns.
    """
    found, way = _begin(m, walker, vpn, is_quiet, is_lean)
    for level in range(found - 1, 2, -1):
        if way.leaf == 0 and way.end == COMPLETE:
            way = _go_on(m, walker, way, vpn, level, is_store and not is_lean, is_quiet, is_lean)
    if found > 2 and way.leaf == 0 and way.end == COMPLETE:  # the lowest levels are most of the work: as constants
        way = _go_on(m, walker, way, vpn, 2, is_store and not is_lean, is_quiet, is_lean)
    if way.leaf == 0 and way.end == COMPLETE:
        way = _go_on(m, walker, way, vpn, 1, is_store, is_quiet, is_lean)
    zero = np.int64(0)
    if unlikely(way.end != COMPLETE):
        return way.end, way.ppn, zero, way.tally, zero
    page, counted = _translate(m, walker, way.ppn, False, is_store, is_quiet, is_lean)
    tally = way.tally + counted
    if unlikely(_is_stopped(page, is_lean)):
        return _why(page), way.ppn, zero, tally, zero
    is_dirty = is_dirty_entry(way.entry)
    if m.cost[at.HAS_EPT_AD] and page & at.HOST_DIRTY == 0:
        is_dirty = zero
    leaves = zero
    if not is_lean:
        behind = level_behind(m, walker.vm, way.ppn)
        leaves = leaves_of(way.leaf if walker.levels else behind, behind)
    return COMPLETE, page >> at.MPN_SHIFT, is_dirty, tally, leaves


@kernel
def _begin(m, walker, vpn, is_quiet, is_lean):
    """Look into the guest's walk caches; return (above which level the way begins, the way)."""
    caches = walker.core * STORES + GUEST_WALK
    found, table = probe_walk_caches(
        m.stores, caches, walker.levels, walker.space, vpn, walker.bits, is_quiet, is_lean
    )
    zero = np.int64(0)
    if found <= walker.levels:
        return found, Way(COMPLETE, table, zero, True, zero, zero, GUEST_HIT)
    table, ppn, is_there = begin(m, walker, vpn, is_lean)
    end = COMPLETE if is_there else GUEST_PAGE_FAULT
    leaf = np.int64(not is_lean and walker.levels == 0)  # without paging the page is the one that is wanted, with D
    return found, Way(end, table, ppn, False, leaf, at.DIRTY | at.WRITABLE, zero)


@kernel
def _go_on(m, walker, way, vpn, level, is_store, is_quiet, is_lean):
    """Read the guest's entry of `level`, in a table that must be found itself if it is not known; return the new way.

    Lean callers say of a store only at level 1 that it is one.
    """
    tally = way.tally
    if not way.is_known:
        page, counted = _translate(m, walker, way.ppn, True, is_store, is_quiet, is_lean)
        tally += counted
        if unlikely(_is_stopped(page, is_lean)):
            return Way(_why(page), way.table, way.ppn, False, way.leaf, way.entry, tally)
    refer(m, walker, frame_of_table(m, walker, way.table), vpn, level, walker.bits)
    tally += GUEST_REF
    entry = read_guest_entry(m, slot_among(way.table, vpn, level, walker.bits), level, is_store, is_lean)
    if unlikely(entry & at.PRESENT == 0):
        return Way(GUEST_PAGE_FAULT, way.table, way.ppn, False, way.leaf, entry, tally)
    ppn, child = page_of(entry), entry >> at.CHILD_SHIFT
    if is_guest_leaf(entry, level, is_lean):
        if not is_lean:
            ppn += vpn & (pages_below(level) - 1)
        return Way(COMPLETE, way.table, ppn, False, np.int64(level), entry, tally)
    if not is_quiet:
        caches = walker.core * STORES + GUEST_WALK
        fill_walk_cache(m.stores, caches + level, level, walker.space, vpn, walker.bits, child, is_lean)
    return Way(COMPLETE, child, ppn, False, np.int64(0), entry, tally)


@kernel
def _translate(m, walker, ppn, is_table, is_store, is_quiet, is_lean):
    """Walk the host table for one guest page.

    Returns (its pmap entry, what was counted). The entry is ABSENT after a violation, NO_ROOM where the log is
    full, and after a hit in the nested TLB what that knows of it.
    """
    is_write = is_table or is_store
    holds_data = not is_lean and m.cost[at.NESTED_TLB_HOLDS_DATA] != 0
    if is_table or holds_data:
        page = probe(m, walker, ppn, is_write, holds_data, is_quiet, is_lean)
        if page != ABSENT:
            return page, NESTED_HIT
    caches = walker.core * STORES + HOST_WALK
    level, child = probe_walk_caches(
        m.stores, caches, walker.host_levels, walker.vm, ppn, TABLE_BITS, is_quiet, is_lean
    )
    tally = np.int64(0)
    table = child - 1  # frames: entries hold them plus one
    if level <= walker.host_levels:
        tally += HOST_HIT
    else:
        table = m.guests.vm[walker.vm, at.EPT_ROOT]
    for below in range(walker.host_levels, 1, -1):  # in lean loops from a constant: they are unrolled
        if below >= level:
            continue
        tally += HOST_REF
        refer(m, walker, table, ppn, below, TABLE_BITS)
        place = m.guests.vm[walker.vm, at.EPT + below] + walk_key(ppn, below)
        child = np.int64(m.host.ept[place])
        if unlikely(child == 0):
            return ABSENT, tally
        if not is_lean and child < 0:
            page = _read_large_leaf(m, walker, place, walker.base + ppn, is_write)
            if page > ABSENT and (is_table or holds_data):
                keep(m, walker, ppn, page, holds_data, is_quiet, is_lean)
            return page, tally
        if not is_quiet:
            fill_walk_cache(m.stores, caches + below, below, walker.vm, ppn, TABLE_BITS, child, is_lean)
        table = child - 1
    if walker.host_levels == 1:
        table += walk_key(ppn, 2)  # a flat table goes on from frame to frame
    tally += HOST_REF
    refer(m, walker, table, ppn, 1, TABLE_BITS)
    page = _read_host_leaf(m, walker, walker.base + ppn, is_write, is_lean)
    if page > ABSENT and (is_table or holds_data):
        keep(m, walker, ppn, page, holds_data, is_quiet, is_lean)
    return page, tally


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
