"""Which hosts the loops for lean translation caches fit: those that have what most processors have, nothing more."""

from __future__ import annotations

from vmcfg.hardware import sets
from vmcfg.hardware.core import GUEST_WALK, HOST_WALK, L1I, L2, LOWEST_WALK, SOFTWARE_TLB, STORES
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import CacheShape
from vmcfg.vmm import machine as at

WALK_CACHES = range(GUEST_WALK + LOWEST_WALK, SOFTWARE_TLB)
WALK_CACHES_OF_GUEST = [GUEST_WALK + level for level in range(LOWEST_WALK, at.USUAL_LEVELS + 1)]
WALK_CACHES_OF_HOST = [HOST_WALK + level for level in range(LOWEST_WALK, at.USUAL_LEVELS + 1)]
LEAN_ROOMS = [  # what lean loops take as given
    sets.MIDDLE if kind == L2 else sets.SLIM if kind in WALK_CACHES else sets.NARROW for kind in range(STORES)
]


def is_lean(host: HostPlan) -> bool:
    """Tell whether the loop for lean caches fits: see `engine.loop.specialise`."""
    levels = {host.host_levels or at.USUAL_LEVELS, *(plan.vm.table_levels for plan in host.vms)}
    is_slow = host.mode == "software_tlb"  # its misses cost more than any loop spares
    is_special = host.nested_tlb_holds_data or host.has_pml or host.dirty_log or host.has_large_pages or host.tells
    if host.stores[L1I].shape or is_slow or is_special or not host.has_tlb or levels != {at.USUAL_LEVELS}:
        return False
    needed = WALK_CACHES_OF_GUEST + (WALK_CACHES_OF_HOST if host.mode == "nested" else [])
    return all(host.stores[kind].shape for kind in needed) and all(
        is_plain(store.shape, room) for store, room in zip(host.stores, LEAN_ROOMS, strict=True) if store.shape
    )


def is_plain(shape: CacheShape, room: int) -> bool:
    """Tell whether a store is lean: a power of two of sets by the low bits, no more ways than room, LRU."""
    rows = shape.entries // shape.ways
    is_indexed_plainly = rows & (rows - 1) == 0 and shape.index == "modulo"
    return is_indexed_plainly and shape.ways <= room and shape.policy == "lru"
