"""Walks that loops leave to another entry: for stores that hit an entry without D, and for loads of the guest's kernel.

They are one entry, which is called by its address (`engine.answers`). How the host's mode walks and whether it has data
caches, which are constants of a loop, are looked up here.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import TRANSLATION, fold
from vmcfg.engine.access import charge_walk, fill_tlbs, places_of, second_lookup, walk_alone
from vmcfg.engine.answers import (
    ASKED_CORE,
    ASKED_VCPU,
    ASKED_VPN,
    DIRTY_WALK,
    FAULT,
    KERNEL_FAULT,
    SAID_CYCLES,
    SAID_DONE,
    handle_fault,
)
from vmcfg.engine.large_tlbs import fill_large, set_dirty_large
from vmcfg.hardware.assoc import NARROW, SETS, find, geometry, set_dirty, set_of, tag_of, touch
from vmcfg.hardware.core import L1, L2, STORES
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.pml import is_protecting
from vmcfg.mmu.tally import count_hits, count_refs, refs_of
from vmcfg.mmu.walks import COMPLETE, LOG_FULL, kernel_walker_of, walker_of
from vmcfg.vmm import machine as at


@entry
def walk_besides(machine, which):
    """Do a DIRTY_WALK or a KERNEL_ACCESS, as `m.asked` says, and return its cycles.

    Those of a dirty walk are the handlers' alone; what else there is to say is in `m.asked`.
    """
    m = by_reference(machine)
    a = m.asked
    core, vcpu, vpn = a[ASKED_CORE], a[ASKED_VCPU], a[ASKED_VPN]
    if which == DIRTY_WALK:
        handling, cycles, is_done = dirty_walk(m, core, vcpu, vpn)
        a[SAID_CYCLES], a[SAID_DONE] = cycles, is_done
        return handling
    return kernel_access(m, core, vcpu, vpn)


@kernel
def _has_data_caches(m):
    return m.cost[at.HAS_DATA_CACHES] != 0


@part
def dirty_walk(m, core, vcpu, vpn):
    """Set D for a store that hit an entry without it: in the tables, and in both TLBs.

    Returns (cycles of handlers, raw walk cycles, whether that was done). It was not if a fault came between: the access
    then begins anew at once, without anything of its page in the TLBs, and has walked for it when this returns.
    """
    row = m.vcpu[vcpu, at.ROW]
    walker = walker_of(m, core, vcpu, False, _has_data_caches(m))
    handling = cycles = np.int64(0)
    while True:
        end, frame, _, tally, _, spent = walk_alone(m, walker, vpn, True, True)
        cycles += spent
        count_hits(m, row, tally)
        if end == COMPLETE:
            break
        handling += handle_fault(m, core, vcpu, vpn, True, end, frame, refs_of(tally), np.int64(FAULT))
        if end != LOG_FULL or is_protecting(m):
            tag = tag_of(walker.space, vpn)
            answering, walking = _walk_anew(m, walker, vpn, tag, np.int64(at.STORE), np.int64(FAULT))
            return handling + answering, cycles + walking, np.int64(0)
    m.counters[row, Event.DIRTY_WALKS] += 1
    m.counters[row, Event.DIRTY_REFS] += refs_of(tally)
    tag = tag_of(walker.space, vpn)
    _set_dirty_in_tlbs(m, walker, vpn, tag)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17))
    return handling, cycles, np.int64(1)


@kernel
def _set_dirty_in_tlbs(m, walker, vpn, tag):
    """Set D in a page's entries in both TLBs, where there are any."""
    for kind in range(L1, L2 + 1):
        built = geometry(m.stores, walker.core * STORES + kind, False, NARROW)
        if built[SETS]:
            index = set_of(built, vpn)
            way = find(m.stores, built, index, tag)
            if way >= 0:
                set_dirty(m.stores, built, index, way)
    if m.cost[at.HAS_LARGE_PAGES]:
        set_dirty_large(m, walker.core, walker.space, vpn)


@part
def _walk_anew(m, walker, vpn, tag, kind, which):
    """Walk for data that is in no TLB, and fill these; return (cycles of handlers, raw walk cycles).

    All is counted but that it is a walk, and its cycles.
    """
    core, row = walker.core, walker.row
    handling, cycles, frame, has_dirty, tally, leaves = _translate(m, walker, vpn, kind == at.STORE, which)
    count_refs(m, row, tally)
    data = geometry(m.stores, core * STORES + L1, False, NARROW)
    second = geometry(m.stores, core * STORES + L2, False, NARROW)
    if not m.cost[at.HAS_LARGE_PAGES] or not fill_large(m, walker, vpn, kind, frame, has_dirty, leaves):
        fill_tlbs(m.stores, data, second, places_of(data, second, vpn, tag), frame, has_dirty)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ refs_of(tally))
    return handling, cycles


@kernel
def _translate(m, walker, vpn, is_store, fault):
    """Walk, and have handled what stops that, a FAULT or KERNEL_FAULT, until a walk is complete; count hits on the way.

    Returns (cycles of handlers, raw cycles of all walks; frame, D, what was counted, and leaves of the last).
    """
    handling = cycles = np.int64(0)
    while True:
        end, frame, has_dirty, tally, leaves, spent = walk_alone(m, walker, vpn, is_store, False)
        cycles += spent
        count_hits(m, walker.row, tally)
        if end == COMPLETE:
            return handling, cycles, frame, has_dirty, tally, leaves
        handling += handle_fault(m, walker.core, walker.vcpu, vpn, is_store, end, frame, refs_of(tally), fault)


@part
def kernel_access(m, core, vcpu, vpn):
    """Load from a page of the guest kernel's memory, an access like any other; return its cycles."""
    walker = kernel_walker_of(m, core, vcpu, _has_data_caches(m))
    row = m.vcpu[vcpu, at.ROW]
    data = geometry(m.stores, core * STORES + L1, False, NARROW)
    second = geometry(m.stores, core * STORES + L2, False, NARROW)
    tag = tag_of(m.guests.process[m.vcpu[vcpu, at.PROCESS], at.KERNEL_SPACE], vpn)
    places = places_of(data, second, vpn, tag)
    index = places[1]
    way = find(m.stores, data, index, tag)
    cycles = m.cost[at.ACCESS]
    m.counters[row, Event.ACCESSES] += 1
    m.counters[row, Event.KERNEL_ACCESSES] += 1
    m.counters[row, Event.BASE_CYCLES] += cycles
    if way >= 0:
        touch(m.stores, data, index, way)
        m.counters[row, Event.L1_HITS] += 1
        return cycles
    is_hit, _ = second_lookup(m.stores, data, second, places)
    if is_hit:
        m.counters[row, Event.STLB_HITS] += 1
        m.counters[row, Event.TLB_CYCLES] += m.cost[at.L2_HIT]
        return cycles + m.cost[at.L2_HIT]
    m.counters[row, Event.WALKS] += 1
    handling, raw = _walk_anew(m, walker, vpn, tag, np.int64(at.LOAD), np.int64(KERNEL_FAULT))
    return cycles + handling + charge_walk(m, vcpu, row, raw)
