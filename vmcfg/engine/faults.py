"""When a walk cannot finish: the guest's fault, the VMM's, a log that is full; and stores that hit an entry without D.

All of this is one entry, `go_on`, which loops call by its address (`engine.answers`): what guests and VMMs do at faults
is most of the code there is, and it is compiled once, not into each loop. How the host's mode walks and whether it has
data caches, which are constants of a loop, are looked up here.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import TRANSLATION, fold
from vmcfg.engine.access import count_hits, fill_tlbs, second_lookup, walk, walk_cycles
from vmcfg.engine.answers import (
    ASKED_CORE,
    ASKED_END,
    ASKED_PPN,
    ASKED_REFS,
    ASKED_STORE,
    ASKED_VCPU,
    ASKED_VPN,
    DIRTY_WALK,
    KERNEL_ACCESS,
    SAID_CYCLES,
    SAID_DIRTY,
    SAID_DONE,
    SAID_FRAME,
    SAID_GUEST_REFS,
    SAID_HOST_REFS,
    SAID_LEAVES,
    WALK_AGAIN,
)
from vmcfg.engine.large_tlbs import drop_large, fill_large, set_dirty_large
from vmcfg.guest.fault import guest_fault
from vmcfg.guest.refill import answer_miss
from vmcfg.hardware.assoc import NARROW, SETS, find, geometry, set_dirty, set_of, tag_of, touch
from vmcfg.hardware.core import L1, L2, STORES, drop_linear
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event, Sized
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
    """Do what has been asked for: WALK_AGAIN, DIRTY_WALK, KERNEL_ACCESS or, after a fault of nobody's walk, FAULT.

    Returns the cycles of handlers; what else there is to say is in `m.asked`: see `engine.answers`.
    """
    m = by_reference(machine)
    a = m.asked
    core, vcpu, vpn, is_store = a[ASKED_CORE], a[ASKED_VCPU], a[ASKED_VPN], a[ASKED_STORE] != 0
    if how == WALK_AGAIN:
        return _say_walk(m, walk_again(m, core, vcpu, vpn, is_store, a[ASKED_END], a[ASKED_PPN], a[ASKED_REFS]))
    if how == DIRTY_WALK:
        handling, a[SAID_CYCLES], a[SAID_DONE] = dirty_walk(m, core, vcpu, vpn)
        return handling
    if how == KERNEL_ACCESS:
        return kernel_access(m, core, vcpu, vpn)
    walker = walker_of(m, core, vcpu, False, _has_data_caches(m))
    return fault(m, walker, vpn, a[ASKED_END], a[ASKED_PPN], a[ASKED_REFS], is_store)


@kernel
def _say_walk(m, walked):
    """Note how the last walk of an access ended; return the handlers' cycles."""
    a = m.asked
    handling, a[SAID_CYCLES], a[SAID_FRAME], a[SAID_DIRTY], a[SAID_GUEST_REFS], a[SAID_HOST_REFS], a[SAID_LEAVES] = (
        walked
    )
    return handling


@kernel
def _has_data_caches(m):
    return m.cost[at.HAS_DATA_CACHES] != 0


@part
def _walk(m, walker, vpn, is_store, is_quiet):
    """Walk as the host's mode does; see `mmu.walks` for what it returns."""
    return walk(m, walker, vpn, m.cost[at.MODE], is_store, is_quiet, False)


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
        end, frame, _, guest_refs, host_refs, guest_hits, host_hits, nested_hits, reads, _ = _walk(
            m, walker, vpn, True, True
        )
        refs = guest_refs + host_refs
        cycles += walk_cycles(m, refs, guest_hits + host_hits, nested_hits, reads, walker.has_data_caches)
        count_hits(m, row, guest_hits, host_hits, nested_hits)
        if end == COMPLETE:
            break
        if end != LOG_FULL or is_protecting(m):
            answering, walking = _walk_anew(m, walker, vpn, end, frame, refs)
            return handling + answering, cycles + walking, np.int64(0)
        handling += fault(m, walker, vpn, end, frame, refs, True)
    m.counters[row, Event.DIRTY_WALKS] += 1
    m.counters[row, Event.DIRTY_REFS] += refs
    tag = tag_of(m.vcpu[vcpu, at.PROCESS], vpn)
    for kind in range(L1, L2 + 1):
        built = geometry(m.stores, core * STORES + kind, False, NARROW)
        if built[SETS]:
            index = set_of(built, vpn)
            way = find(m.stores, built, index, tag)
            if way >= 0:
                set_dirty(m.stores, built, index, way)
    if m.cost[at.HAS_LARGE_PAGES]:
        set_dirty_large(m, core, walker.space, vpn)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17))
    return handling, cycles, np.int64(1)


@kernel
def _walk_anew(m, walker, vpn, end, ppn, refs):
    """Handle what stopped the dirty walk of a store, walk, and fill the TLBs; return (handlers', raw walk cycles)."""
    core, row = walker.core, walker.row
    handling, cycles, frame, has_dirty, in_guest, in_host, leaves = walk_again(
        m, core, walker.vcpu, vpn, True, end, ppn, refs
    )
    m.counters[row, Event.GUEST_REFS] += in_guest
    m.counters[row, Event.HOST_REFS] += in_host
    m.counters[row, Event.WALK_REFS] += in_guest + in_host
    data = geometry(m.stores, core * STORES + L1, False, NARROW)
    second = geometry(m.stores, core * STORES + L2, False, NARROW)
    tag = tag_of(walker.space, vpn)
    if not m.cost[at.HAS_LARGE_PAGES] or not fill_large(m, walker, vpn, np.int64(at.STORE), frame, has_dirty, leaves):
        fill_tlbs(m.stores, data, second, vpn, tag, frame, has_dirty)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ (in_guest + in_host))
    return handling, cycles


@part
def walk_again(m, core, vcpu, vpn, is_store, end, ppn, refs):
    """Handle what stopped a walk, and walk again, until it is complete.

    Returns (cycles of the handlers, raw cycles of the further walks, then of the last of them the frame, D, guest and
    host references, and leaves).
    """
    row = m.vcpu[vcpu, at.ROW]
    handling = cycles = np.int64(0)
    walker = walker_of(m, core, vcpu, False, _has_data_caches(m))
    while True:
        handling += fault(m, walker, vpn, end, ppn, refs, is_store)
        end, ppn, has_dirty, guest_refs, host_refs, guest_hits, host_hits, nested_hits, reads, leaves = _walk(
            m, walker, vpn, is_store, False
        )
        refs = guest_refs + host_refs
        cycles += walk_cycles(m, refs, guest_hits + host_hits, nested_hits, reads, walker.has_data_caches)
        count_hits(m, row, guest_hits, host_hits, nested_hits)
        if end == COMPLETE:
            return handling, cycles, ppn, has_dirty, guest_refs, host_refs, leaves


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
    return cycles + _kernel_walk(m, walker, vpn, tag)


@kernel
def _kernel_walk(m, walker, vpn, tag):
    """Walk for a load of the kernel's memory, which is always mapped, and fill both TLBs; return the charged cycles."""
    core, row = walker.core, walker.row
    handling = cycles = np.int64(0)
    while True:
        end, frame, has_dirty, guest_refs, host_refs, guest_hits, host_hits, nested_hits, reads, _ = _walk(
            m, walker, vpn, False, False
        )
        refs = guest_refs + host_refs
        cycles += walk_cycles(m, refs, guest_hits + host_hits, nested_hits, reads, walker.has_data_caches)
        count_hits(m, row, guest_hits, host_hits, nested_hits)
        if end == COMPLETE:
            break
        handling += fault(m, walker, vpn, end, frame, refs, False)
    m.counters[row, Event.WALKS] += 1
    m.counters[row, Event.GUEST_REFS] += guest_refs
    m.counters[row, Event.HOST_REFS] += host_refs
    m.counters[row, Event.WALK_REFS] += refs
    if m.cost[at.HAS_LARGE_PAGES]:
        m.sizes[row, Sized.FILLED_4K] += 1
    data = geometry(m.stores, core * STORES + L1, False, NARROW)
    fill_tlbs(m.stores, data, geometry(m.stores, core * STORES + L2, False, NARROW), vpn, tag, frame, has_dirty)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ refs)
    return handling + _charge_walk(m, walker.vcpu, cycles)


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
