"""The host's half of a nested walk: from a guest page to its machine frame, through the host's own table.

A walk of the guest's table asks this for every table that it has to find, and for the page at its end. The nested TLB
may know a table already; the host-dimension walk caches leave the lowest reads. What is found is the page's pmap entry:
it is the leaf, and holds the host's A and D.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.hardware.core import HOST_WALK, STORES, TABLE_BITS, walk_key
from vmcfg.jit import kernel, part, unlikely
from vmcfg.mmu.nested_tlb import ABSENT, keep, probe
from vmcfg.mmu.references import refer
from vmcfg.mmu.tally import HOST_HIT, HOST_REF, NESTED_HIT
from vmcfg.mmu.walks import HOST_VIOLATION, LOG_FULL, fill_walk_cache, probe_walk_caches
from vmcfg.vmm import machine as at
from vmcfg.vmm.dirty_log import BY_PML, log_page, must_exit
from vmcfg.vmm.large_pages import MARKS

NO_ROOM = np.int64(-1)  # no pmap entry either: A or D must be set, and the VMM be asked before

Integer = int | np.int64


class Block(NamedTuple):
    """A block of 2 MiB of guest memory, and the host's lowest table for it, which a walk cache is sure to hold."""

    number: Integer
    table: Integer


NO_BLOCK = Block(np.int64(-1), np.int64(0))


@kernel
def translate(m, walker, ppn, last, is_table, is_store, is_quiet, is_lean):
    """Walk the host table for one guest page.

    Returns (its pmap entry, what was counted, the block in which it lies if the walk came to that block's table). The
    entry is ABSENT after a violation, NO_ROOM where the log is full, and after a hit in the nested TLB what that knows.
    """
    is_write = is_table or is_store
    holds_data = not is_lean and m.cost[at.NESTED_TLB_HOLDS_DATA] != 0
    if is_table or holds_data:
        page = probe(m, walker, ppn, is_write, holds_data, is_quiet, is_lean)
        if page != ABSENT:
            return page, NESTED_HIT, NO_BLOCK
    if is_lean and not is_table and walk_key(ppn, 2) == last.number:
        # A guest's tables lie among its data. The entry that led to the last table's page was read or hit just now, so
        # it is there, and the last used of its set: a lookup would find it and change nothing.
        page, counted = _read_leaf(m, walker, last.table, ppn, is_table, is_write, False, is_quiet, is_lean)
        return page, HOST_HIT + counted, last
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
            return ABSENT, tally, NO_BLOCK
        if not is_lean and child < 0:
            page = _read_large_leaf(m, walker, place, walker.base + ppn, is_write)
            if page > ABSENT and (is_table or holds_data):
                keep(m, walker, ppn, page, holds_data, is_quiet, is_lean)
            return page, tally, NO_BLOCK
        if not is_quiet:
            fill_walk_cache(m.stores, caches + below, below, walker.vm, ppn, TABLE_BITS, child, is_lean)
        table = child - 1
    block = Block(walk_key(ppn, 2), table)
    if walker.host_levels == 1:
        table += walk_key(ppn, 2)  # a flat table goes on from frame to frame
    page, counted = _read_leaf(m, walker, table, ppn, is_table, is_write, holds_data, is_quiet, is_lean)
    return page, tally + counted, block


@kernel
def _read_leaf(m, walker, table, ppn, is_table, is_write, holds_data, is_quiet, is_lean):
    """Read the leaf for a guest page in the host's lowest table; return (what `translate` says, what was counted)."""
    refer(m, walker, table, ppn, 1, TABLE_BITS)
    page = _read_host_leaf(m, walker, walker.base + ppn, is_write, is_lean)
    if page > ABSENT and (is_table or holds_data):
        keep(m, walker, ppn, page, holds_data, is_quiet, is_lean)
    return page, HOST_REF


@kernel
def is_stopped(page, is_lean):
    """Tell whether what the host's walk has found is no page but ABSENT or NO_ROOM; lean hosts log nothing."""
    return page == ABSENT or (not is_lean and page == NO_ROOM)


@kernel
def why_stopped(page):
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
