"""The parts of an access, from lookup to fill; `engine.retire` puts them together.

lookup L1 ── hit ─────────────────────────────────► (a store without D: dirty walk) ─► retire
    └ miss ─ lookup L2 ── hit: fill L1 ───────────► (likewise)                      ─► retire
                 └ miss ─ frames and pages in hand? ─ walk ── complete: fill L2, L1 ─► retire
                                                       ├ guest fault: the guest's handler, walk again
                                                       ├ violation: the VMM's handler,    walk again
                                                       └ log full: the VMM empties it,    walk again
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.assoc import SETS, fill, find, is_dirty, payload_of, set_of, touch
from vmcfg.jit import kernel
from vmcfg.metrics.events import Event
from vmcfg.mmu import native, nested, shadow, software_tlb
from vmcfg.mmu.walks import NESTED, SHADOW, SOFTWARE_TLB
from vmcfg.vmm import machine as at


@kernel
def second_lookup(stores, first, second, vpn, tag):
    """Look a page up in the L2 TLB after a miss in the first level, and fill that. Returns (hit, D of the entry)."""
    if second[SETS] == 0:
        return False, np.int64(0)
    index = set_of(second, vpn)
    way = find(stores, second, index, tag)
    if way < 0:
        return False, np.int64(0)
    touch(stores, second, index, way)
    has_dirty = is_dirty(stores, second, index, way)
    frame = payload_of(stores, second, index, way)
    fill(stores, first, set_of(first, vpn), tag, frame, has_dirty)
    return True, has_dirty


@kernel
def walk(m, walker, vpn, mode, is_store, is_quiet, is_lean):
    """Walk as the host's mode does."""
    if mode == NESTED:
        return nested.walk(m, walker, vpn, is_store, is_quiet, is_lean)
    if mode == SOFTWARE_TLB:
        return software_tlb.walk(m, walker, vpn, is_store, is_quiet, is_lean)
    if mode == SHADOW:
        return shadow.walk(m, walker, vpn, is_store, is_quiet, is_lean)
    return native.walk(m, walker, vpn, is_store, is_quiet, is_lean)


@kernel
def walk_cycles(m, refs, walk_cache_hits, nested_hits, reads, has_data_caches):
    """Return what a walk costs: its references (`reads` where data caches tell), and the hits that spared it others."""
    return (
        (reads if has_data_caches else refs * m.cost[at.WALK_REFERENCE])
        + walk_cache_hits * m.cost[at.WALK_CACHE_HIT]
        + nested_hits * m.cost[at.NESTED_TLB_HIT]
    )


@kernel
def fill_tlbs(stores, first, second, vpn, tag, frame, has_dirty):
    """Put a translation into the second level and into the first."""
    if second[SETS]:
        fill(stores, second, set_of(second, vpn), tag, frame, has_dirty)
    fill(stores, first, set_of(first, vpn), tag, frame, has_dirty)


@kernel
def count_hits(m, row, guest_hits, host_hits, nested_hits):
    """Count what the walk caches and the nested TLB have spared."""
    m.counters[row, Event.GUEST_WALK_CACHE_HITS] += guest_hits
    m.counters[row, Event.HOST_WALK_CACHE_HITS] += host_hits
    m.counters[row, Event.NESTED_TLB_HITS] += nested_hits


@kernel
def count_refs(m, row, guest_refs, host_refs):
    """Count the references of a complete walk."""
    m.counters[row, Event.GUEST_REFS] += guest_refs
    m.counters[row, Event.HOST_REFS] += host_refs
    m.counters[row, Event.WALK_REFS] += guest_refs + host_refs


@kernel
def charge_walk(m, vcpu, row, cycles):
    """Count the cycles of a walk; return those charged now, as several walkers share them."""
    shift = m.cost[at.WALKERS_LOG2]
    carried = m.vcpu[vcpu, at.CARRY] + cycles
    charged = carried >> shift
    m.vcpu[vcpu, at.CARRY] = carried - (charged << shift)
    m.counters[row, Event.WALK_CYCLES] += cycles
    m.counters[row, Event.WALK_CHARGED_CYCLES] += charged
    return charged
