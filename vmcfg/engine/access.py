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
from vmcfg.mmu.references import cycles_of, look_up_noted
from vmcfg.mmu.walks import NESTED, SHADOW, SOFTWARE_TLB
from vmcfg.vmm import machine as at


@kernel
def places_of(first, second, vpn, tag):
    """Return (tag of a page, its set in the first level of the TLB, in the second)."""
    return tag, set_of(first, vpn), set_of(second, vpn)


@kernel
def second_lookup(stores, first, second, places):
    """Look a page up in the L2 TLB after a miss in the first level, and fill that. Returns (hit, D of the entry)."""
    tag, index, below = places
    if second[SETS] == 0:
        return False, np.int64(0)
    way = find(stores, second, below, tag)
    if way < 0:
        return False, np.int64(0)
    touch(stores, second, below, way)
    has_dirty = is_dirty(stores, second, below, way)
    frame = payload_of(stores, second, below, way)
    fill(stores, first, index, tag, frame, has_dirty)
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
def walk_alone(m, walker, vpn, is_store, is_quiet):
    """Walk by itself, not in a row of accesses; return what a walk returns, and its raw cycles."""
    end, frame, has_dirty, counted, leaves = walk(m, walker, vpn, m.cost[at.MODE], is_store, is_quiet, False)
    looked_up, _ = look_up_noted(m, walker, np.int64(0))
    return end, frame, has_dirty, counted, leaves, cycles_of(m, walker, counted) + looked_up


@kernel
def fill_tlbs(stores, first, second, places, frame, has_dirty):
    """Put a translation into the second level and into the first."""
    tag, index, below = places
    if second[SETS]:
        fill(stores, second, below, tag, frame, has_dirty)
    fill(stores, first, index, tag, frame, has_dirty)


@kernel
def charge_walk(m, vcpu, row, cycles):
    """Count the cycles of walks; return those charged now, as several walkers share them."""
    charged, m.vcpu[vcpu, at.CARRY] = shared(m, m.vcpu[vcpu, at.CARRY] + cycles)
    m.counters[row, Event.WALK_CYCLES] += cycles
    m.counters[row, Event.WALK_CHARGED_CYCLES] += charged
    return charged


@kernel
def shared(m, cycles):
    """Return (what each of the walkers takes of so many cycles, what is left over)."""
    shift = m.cost[at.WALKERS_LOG2]
    each = cycles >> shift
    return each, cycles - (each << shift)
