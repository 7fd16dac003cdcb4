"""When a walk cannot finish: the guest's fault, the VMM's, a log that is full; and stores that hit an entry without D.

All of this is one entry, `go_on`, which loops call by its address (`engine.answers`): what guests and VMMs do at faults
is most of the code there is, and it is compiled once, not into each loop. How the host's mode walks and whether it has
data caches, which are constants of a loop, are looked up here.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import TRANSLATION, fold
from vmcfg.engine.access import count_hits, fill_tlbs, second_lookup, translate, walk, walk_cycles
from vmcfg.engine.answers import (
    ASKED_CORE,
    ASKED_END,
    ASKED_PPN,
    ASKED_REFS,
    ASKED_STORE,
    ASKED_VCPU,
    ASKED_VPN,
    DIRTY_WALK,
    FAULT,
    KERNEL_ACCESS,
    KERNEL_FAULT,
    SAID_CYCLES,
    SAID_DONE,
)
from vmcfg.engine.large_tlbs import drop_large, fill_large, set_dirty_large
from vmcfg.guest.fault import guest_fault
from vmcfg.guest.refill import answer_miss
from vmcfg.hardware.assoc import NARROW, SETS, find, geometry, set_dirty, set_of, tag_of, touch
from vmcfg.hardware.core import L1, L2, STORES, drop_linear
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu import shadow
from vmcfg.mmu.pml import drain_log, is_protecting, note_violation, write_anyway
from vmcfg.mmu.walks import (
    COMPLETE,
    HOST_VIOLATION,
    LOG_FULL,
    SHADOW_FAULT,
    TLB_MISS,
    kernel_walker_of,
    walker_of,
)
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import violation


@entry
def go_on(machine, how):
    """Do what has been asked for, FAULT, KERNEL_FAULT, DIRTY_WALK or KERNEL_ACCESS, and return its cycles.

    Those of a dirty walk are the handlers' alone; what else there is to say is in `m.asked`: see `engine.answers`.
    """
    m = by_reference(machine)
    a = m.asked
    core, vcpu, vpn, is_store = a[ASKED_CORE], a[ASKED_VCPU], a[ASKED_VPN], a[ASKED_STORE] != 0
    if how == DIRTY_WALK:
        handling, cycles, is_done = dirty_walk(m, core, vcpu, vpn)
        a[SAID_CYCLES], a[SAID_DONE] = cycles, is_done
        return handling
    if how == KERNEL_ACCESS:
        return kernel_access(m, core, vcpu, vpn)
    if how == KERNEL_FAULT:
        walker = kernel_walker_of(m, core, vcpu, _has_data_caches(m))
    else:
        walker = walker_of(m, core, vcpu, False, _has_data_caches(m))
    return fault(m, walker, vpn, a[ASKED_END], a[ASKED_PPN], a[ASKED_REFS], is_store)


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
        end, frame, _, guest_refs, host_refs, guest_hits, host_hits, nested_hits, reads, _ = walk(
            m, walker, vpn, m.cost[at.MODE], True, True, False
        )
        refs = guest_refs + host_refs
        cycles += walk_cycles(m, refs, guest_hits + host_hits, nested_hits, reads, walker.has_data_caches)
        count_hits(m, row, guest_hits, host_hits, nested_hits)
        if end == COMPLETE:
            break
        handling += fault(m, walker, vpn, end, frame, refs, True)
        if end != LOG_FULL or is_protecting(m):
            tag = tag_of(walker.space, vpn)
            answering, walking = _walk_anew(m, walker, vpn, tag, np.int64(at.STORE), np.int64(FAULT))
            return handling + answering, cycles + walking, np.int64(0)
    m.counters[row, Event.DIRTY_WALKS] += 1
    m.counters[row, Event.DIRTY_REFS] += refs
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
    handling, cycles, frame, has_dirty, guest_refs, host_refs, leaves, by_guest, by_host, by_nested = translate(
        m, walker, vpn, m.cost[at.MODE], kind == at.STORE, which, False
    )
    count_hits(m, row, by_guest, by_host, by_nested)
    m.counters[row, Event.GUEST_REFS] += guest_refs
    m.counters[row, Event.HOST_REFS] += host_refs
    m.counters[row, Event.WALK_REFS] += guest_refs + host_refs
    data = geometry(m.stores, core * STORES + L1, False, NARROW)
    second = geometry(m.stores, core * STORES + L2, False, NARROW)
    if not m.cost[at.HAS_LARGE_PAGES] or not fill_large(m, walker, vpn, kind, frame, has_dirty, leaves):
        fill_tlbs(m.stores, data, second, vpn, tag, frame, has_dirty)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ (guest_refs + host_refs))
    return handling, cycles


@part
def kernel_access(m, core, vcpu, vpn):
    """Load from a page of the guest kernel's memory, an access like any other; return its cycles."""
    walker = kernel_walker_of(m, core, vcpu, _has_data_caches(m))
    row = m.vcpu[vcpu, at.ROW]
    data = geometry(m.stores, core * STORES + L1, False, NARROW)
    second = geometry(m.stores, core * STORES + L2, False, NARROW)
    tag = tag_of(m.guests.process[m.vcpu[vcpu, at.PROCESS], at.KERNEL_SPACE], vpn)
    index = set_of(data, vpn)
    way = find(m.stores, data, index, tag)
    cycles = m.cost[at.ACCESS]
    m.counters[row, Event.ACCESSES] += 1
    m.counters[row, Event.KERNEL_ACCESSES] += 1
    m.counters[row, Event.BASE_CYCLES] += cycles
    if way >= 0:
        touch(m.stores, data, index, way)
        m.counters[row, Event.L1_HITS] += 1
        return cycles
    is_hit, _ = second_lookup(m.stores, data, second, vpn, tag)
    if is_hit:
        m.counters[row, Event.STLB_HITS] += 1
        m.counters[row, Event.TLB_CYCLES] += m.cost[at.L2_HIT]
        return cycles + m.cost[at.L2_HIT]
    m.counters[row, Event.WALKS] += 1
    handling, raw = _walk_anew(m, walker, vpn, tag, np.int64(at.LOAD), np.int64(KERNEL_FAULT))
    return cycles + handling + _charge_walk(m, vcpu, raw)


@kernel
def _charge_walk(m, vcpu, cycles):
    """Count the cycles of a walk; return those charged now, as several walkers share them."""
    row = m.vcpu[vcpu, at.ROW]
    shift = m.cost[at.WALKERS_LOG2]
    carried = m.vcpu[vcpu, at.CARRY] + cycles
    m.vcpu[vcpu, at.CARRY] = carried - ((carried >> shift) << shift)
    m.counters[row, Event.WALK_CYCLES] += cycles
    m.counters[row, Event.WALK_CHARGED_CYCLES] += carried >> shift
    return carried >> shift


@part
def fault(m, walker, vpn, end, ppn, refs, is_store):
    """Handle a walk that could not finish: the guest's fault, or the VMM's. Returns the handlers' cycles."""
    m.counters[walker.row, Event.FAULT_REFS] += refs
    if end == LOG_FULL and not is_protecting(m):
        return drain_log(m, walker.core, walker.vcpu)
    drop_linear(m.stores, walker.core, walker.space, vpn, walker.bits)
    if m.cost[at.HAS_LARGE_PAGES]:
        drop_large(m, walker.core, walker.space, vpn)
    if end == TLB_MISS:
        return answer_miss(m, walker, vpn, ppn != 0)
    if end == LOG_FULL:
        return write_anyway(m, walker.core, walker.vcpu, ppn)
    if end == HOST_VIOLATION:
        cycles = violation(m, walker.core, walker.vcpu, ppn)
        if is_protecting(m):
            note_violation(m, walker.vcpu, ppn, is_store)
        return cycles
    handling = np.int64(0)
    is_guests = True
    if end == SHADOW_FAULT:
        handling, is_guests = shadow.shadow_fault(m, walker, vpn, is_store)
    if is_guests:
        m.vcpu[walker.vcpu, at.FAULTING_STORE] = np.int64(is_store)
        handling += guest_fault(m, walker.core, walker.vcpu, vpn)
        m.vcpu[walker.vcpu, at.FAULTING_STORE] = 0
    return handling
