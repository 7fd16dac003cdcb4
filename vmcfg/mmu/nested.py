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

from vmcfg.hardware.core import GUEST_WALK, STORES
from vmcfg.jit import kernel, unlikely
from vmcfg.mmu.host_walk import NO_BLOCK, Block, Integer, is_stopped, translate, why_stopped
from vmcfg.mmu.references import frame_of_table, refer
from vmcfg.mmu.tally import GUEST_HIT, GUEST_REF
from vmcfg.mmu.walks import (
    COMPLETE,
    GUEST_PAGE_FAULT,
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
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.large_pages import level_behind


class Way(NamedTuple):
    """How far a walk has come through the guest's table."""

    end: Integer  # COMPLETE: so far
    table: Integer  # where it goes on
    ppn: Integer  # the page of that table; of the data, when there is a leaf
    is_known: bool  # a combined entry led to the table's frame
    leaf: Integer  # level of the leaf; 0 before there is one
    entry: Integer  # the leaf
    tally: Integer
    last: Block  # where the page of the last table lies that had to be found, as far as that is known


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
    page, counted, _ = translate(m, walker, way.ppn, way.last, False, is_store, is_quiet, is_lean)
    tally = way.tally + counted
    if unlikely(is_stopped(page, is_lean)):
        return why_stopped(page), way.ppn, zero, tally, zero
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
        return found, Way(COMPLETE, table, zero, True, zero, zero, GUEST_HIT, NO_BLOCK)
    table, ppn, is_there = begin(m, walker, vpn, is_lean)
    end = COMPLETE if is_there else GUEST_PAGE_FAULT
    leaf = np.int64(not is_lean and walker.levels == 0)  # without paging the page is the one that is wanted, with D
    return found, Way(end, table, ppn, False, leaf, at.DIRTY | at.WRITABLE, zero, NO_BLOCK)


@kernel
def _go_on(m, walker, way, vpn, level, is_store, is_quiet, is_lean):
    """Read the guest's entry of `level`, in a table that must be found itself if it is not known; return the new way.

    Lean callers say of a store only at level 1 that it is one.
    """
    tally, last = way.tally, NO_BLOCK
    if way.is_known:
        frame = frame_of_table(m, walker, way.table)
    else:
        page, counted, last = translate(m, walker, way.ppn, NO_BLOCK, True, is_store, is_quiet, is_lean)
        tally += counted
        if unlikely(is_stopped(page, is_lean)):
            return Way(why_stopped(page), way.table, way.ppn, False, way.leaf, way.entry, tally, last)
        frame = page >> at.MPN_SHIFT
    refer(m, walker, frame, vpn, level, walker.bits)
    tally += GUEST_REF
    entry = read_guest_entry(m, slot_among(way.table, vpn, level, walker.bits), level, is_store, is_lean)
    if unlikely(entry & at.PRESENT == 0):
        return Way(GUEST_PAGE_FAULT, way.table, way.ppn, False, way.leaf, entry, tally, last)
    ppn, child = page_of(entry), entry >> at.CHILD_SHIFT
    if is_guest_leaf(entry, level, is_lean):
        if not is_lean:
            ppn += vpn & (pages_below(level) - 1)
        return Way(COMPLETE, way.table, ppn, False, np.int64(level), entry, tally, last)
    if not is_quiet:
        caches = walker.core * STORES + GUEST_WALK
        fill_walk_cache(m.stores, caches + level, level, walker.space, vpn, walker.bits, child, is_lean)
    return Way(COMPLETE, child, ppn, False, np.int64(0), entry, tally, last)
