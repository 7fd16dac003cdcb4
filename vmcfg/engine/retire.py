"""The hot loop: accesses that retire one after the other, for as long as nothing has to be decided or handled.

An access hits the first level of the TLB, or the second, or walks and fills both. What else can be is rare, and stops
the row: `engine.turn.stretch` deals with it, and goes on. So the loop of a lean host has no call in it (others call for
large pages and logs), and what it keeps looking at stays in registers.

The loop is compiled twice, for streams that hit and for streams that miss: without `may_walk` a miss stops it too.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import TRANSLATION, fold
from vmcfg.engine.access import charge_walk, fill_tlbs, places_of, second_lookup, shared, walk
from vmcfg.engine.ahead import look_ahead
from vmcfg.engine.large_tlbs import IN_FIRST, IN_SECOND, fill_large, look_up_large
from vmcfg.engine.room import may_run_short
from vmcfg.hardware.assoc import MIDDLE, NARROW, SETS, find, geometry, is_dirty, tag_of, touch
from vmcfg.hardware.core import L1, L1I, L2, STORES
from vmcfg.jit import kernel, unlikely
from vmcfg.mmu.references import cycles_of, dearest_noted, look_up_noted
from vmcfg.mmu.tally import count_hits, count_refs, refs_of
from vmcfg.mmu.walks import COMPLETE
from vmcfg.vmm import machine as at

# What ends a row. A walk that cannot finish has happened; of the others' accesses nothing has, or counts, but lookups.
NOTHING, MISS, WALK, NO_DIRTY_BIT, NO_DIRTY_BIT_IN_L2 = range(5)
NOWHERE = 0  # beside IN_FIRST and IN_SECOND: where a lookup has found an entry


@kernel
def retire(m, walker, tlbs, position, last, clock, for_noted, costs, mode, has_missed, may_walk, known, is_lean):
    """Retire a row, by the loop for streams that miss (`may_walk`), or by the one for streams that hit."""
    if may_walk:
        return _retire(m, walker, tlbs, position, last, clock, for_noted, costs, mode, has_missed, True, known, is_lean)
    return _retire(m, walker, tlbs, position, last, clock, for_noted, costs, mode, False, False, known, is_lean)


@kernel
def _retire(m, walker, tlbs, position, last, clock, for_noted, costs, mode, has_missed, may_walk, known, is_lean):
    """Retire accesses `position` … `last` - 1, all of which are sure to begin in time: the clock is set at the end.

    `has_missed` says that the first of them has been looked up and found nowhere: it walks at once. `known` is the end
    of those that are looked ahead for, or 0. The row ends before more is noted than may cost `for_noted` cycles.
    Returns (position, clock, hits in the L2 TLB, walks, what stopped it), and of a WALK that could not finish (how it
    ended, the page without a frame, references, raw cycles).
    """
    stopped_by = NOTHING
    l2_hits = walks = frame = tally = unfinished = cycles = np.int64(0)
    start, end = position, COMPLETE
    is_short = may_run_short(m, walker)  # nothing is taken while nothing is handled
    data, fetches, second = tlbs
    while position < last and (not may_walk or shared(m, dearest_noted(m, walker))[0] <= for_noted):
        vpn, kind = access_at(m, walker.vcpu, position)
        if may_walk and known:
            look_ahead(m, walker, position, known, mode)
        first = fetches if kind == at.FETCH else data
        places = places_of(first, second, vpn, tag_of(walker.space, vpn))
        where = has_dirty = np.int64(NOWHERE)
        if not has_missed:
            where, has_dirty = _look_up(m, walker, first, second, places, vpn, kind, is_lean)
        if where != NOWHERE:
            if unlikely((kind >> 1) & ~has_dirty != 0):  # a store is 2
                stopped_by = NO_DIRTY_BIT if where == IN_FIRST else NO_DIRTY_BIT_IN_L2
                break
            if may_walk:
                l2_hits += where == IN_SECOND
            elif unlikely(where == IN_SECOND):  # said of both loops, this would make the other one slower
                l2_hits += 1
        else:
            if not may_walk or unlikely(is_short and not has_missed):
                stopped_by = MISS
                break
            has_missed = False
            end, frame, counted = _walk_and_fill(m, walker, first, second, places, vpn, kind, mode, is_lean)
            if unlikely(end != COMPLETE):
                stopped_by = WALK
                unfinished = counted
                count_hits(m, walker.row, counted)
                break
            tally += counted
            walks += 1
        position += 1
    clock += (position - start) * costs[0] + l2_hits * costs[1]
    if may_walk:
        looked_up, in_vain = look_up_noted(m, walker, refs_of(unfinished))
        clock += charge_walk(m, walker.vcpu, walker.row, cycles_of(m, walker, tally) + looked_up)
        cycles = cycles_of(m, walker, unfinished) + in_vain
        count_hits(m, walker.row, tally)
        count_refs(m, walker.row, tally)
    return position, clock, l2_hits, walks, stopped_by, (end, frame, refs_of(unfinished), cycles)


@kernel
def access_at(m, vcpu, position):
    """Return (page, kind) of a vCPU's buffered access."""
    access = m.work.buffer[vcpu, position]
    return (access >> at.VPN_SHIFT) & at.VPN_MASK, (access >> at.KIND_SHIFT) & 3


@kernel
def tlbs_of(stores, core, is_lean):
    """Return the geometry of a core's TLBs: for data, for fetches (the same if there is only one), second level."""
    data = geometry(stores, core * STORES + L1, is_lean, NARROW)
    fetches = data
    if not is_lean and stores.shape[core * STORES + L1I, SETS]:
        fetches = geometry(stores, core * STORES + L1I, is_lean, NARROW)
    return data, fetches, geometry(stores, core * STORES + L2, is_lean, MIDDLE)


@kernel
def _look_up(m, walker, first, second, places, vpn, kind, is_lean):
    """Look a page up in both levels; return (NOWHERE, IN_FIRST or IN_SECOND; D of the entry)."""
    tag, index, _ = places
    way = find(m.stores, first, index, tag)
    if way >= 0:
        touch(m.stores, first, index, way)
        return np.int64(IN_FIRST), is_dirty(m.stores, first, index, way)
    if not is_lean and m.cost[at.HAS_LARGE_PAGES]:
        where, has_dirty = look_up_large(m, walker.core, walker.space, vpn, kind)
        if where != NOWHERE:
            return where, has_dirty
    is_hit, has_dirty = second_lookup(m.stores, first, second, places)
    return np.int64(IN_SECOND if is_hit else NOWHERE), has_dirty


@kernel
def _walk_and_fill(m, walker, first, second, places, vpn, kind, mode, is_lean):
    """Walk for a page, and fill what has missed it; return (how that ended, frame, what was counted)."""
    end, frame, has_dirty, counted, leaves = walk(m, walker, vpn, mode, kind == at.STORE, False, is_lean)
    if end == COMPLETE:
        tag, _, _ = places
        is_large = not is_lean and m.cost[at.HAS_LARGE_PAGES] and fill_large(
            m, walker, vpn, kind, frame, has_dirty, leaves
        )
        if not is_large:
            fill_tlbs(m.stores, first, second, places, frame, has_dirty)
        fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ refs_of(counted))
    return end, frame, counted
