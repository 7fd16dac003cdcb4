"""The parts of an access, from lookup to fill; what happens when a walk cannot finish is in `engine.faults`.

lookup L1 ── hit ─────────────────────────────────► (a store without D: dirty walk) ─► retire
    └ miss ─ lookup L2 ── hit: fill L1 ───────────► (likewise)                      ─► retire
                 └ miss ─ frames and pages in hand? ─ walk ── complete: fill L2, L1 ─► retire
                                                       ├ guest fault: the guest's handler, walk again
                                                       ├ violation: the VMM's handler,    walk again
                                                       └ log full: the VMM empties it,    walk again
"""

from __future__ import annotations

import numpy as np

from vmcfg.engine.answers import handle_fault
from vmcfg.hardware.assoc import SETS, fill, find, is_dirty, payload_of, set_of, touch
from vmcfg.jit import kernel
from vmcfg.metrics.events import Event
from vmcfg.mmu import native, nested, shadow, software_tlb
from vmcfg.mmu.walks import COMPLETE, NESTED, SHADOW, SOFTWARE_TLB
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
def translate(m, walker, vpn, mode, is_store, fault, is_lean):
    """Walk, and have handled what stops that, a FAULT or KERNEL_FAULT, until a walk is complete.

    Returns (cycles of handlers, raw cycles of all walks; frame, D, guest and host references, and leaves of the last;
    hits of all in the guest's and the host's walk caches, and in the nested TLB).
    """
    handling = cycles = by_guest = by_host = by_nested = np.int64(0)
    while True:
        end, frame, has_dirty, guest_refs, host_refs, guest_hits, host_hits, nested_hits, reads, leaves = walk(
            m, walker, vpn, mode, is_store, False, is_lean
        )
        refs = guest_refs + host_refs
        cycles += walk_cycles(m, refs, guest_hits + host_hits, nested_hits, reads, walker.has_data_caches)
        by_guest += guest_hits
        by_host += host_hits
        by_nested += nested_hits
        if end == COMPLETE:
            last = frame, has_dirty, guest_refs, host_refs, leaves
            return handling, cycles, *last, by_guest, by_host, by_nested
        handling += handle_fault(m, walker.core, walker.vcpu, vpn, is_store, end, frame, refs, fault)


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
