"""One access, from lookup to retirement; and what happens when a walk cannot finish.

    lookup L1 ── hit ─────────────────────────────────► (a store without D: dirty walk) ─► retire
        └ miss ─ lookup L2 ── hit: fill L1 ───────────► (likewise)                      ─► retire
                     └ miss ─ frames and pages in hand? ─ walk ── complete: fill L2, L1 ─► retire
                                                           ├ guest fault: the guest's handler, walk again
                                                           └ violation: the VMM's handler,    walk again
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import TRANSLATION, fold
from vmcfg.guest.fault import demand_fault, needs
from vmcfg.hardware.assoc import SETS, fill, find, geometry, is_dirty, set_dirty, set_of, slot_of, tag_of, touch
from vmcfg.hardware.core import L1, L2, STORES, drop_linear
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu import native, nested
from vmcfg.mmu.walks import COMPLETE, GUEST_PAGE_FAULT, NESTED
from vmcfg.vmm import machine as at
from vmcfg.vmm.machine import FRAME_FREE
from vmcfg.vmm.verbs import violation

# Why the kernel returns to Python.
DONE, UNTIL, NEED_FRAMES, NEED_GUEST_PAGES, ALL_FINISHED = range(5)


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
    has_dirty = is_dirty(stores, index, way)
    frame = stores.payload[slot_of(second, index, way)]
    fill(stores, first, set_of(first, vpn), tag, frame, has_dirty)
    return True, has_dirty


@part
def dirty_walk(m, core, vcpu, space, vpn):
    """Set D for a store that hit an entry without it: in the tables, and in both TLBs where present."""
    _, frame, _, guest_refs, host_refs, cycles, _ = _walk(m, core, vcpu, vpn, True, True)
    row = m.vcpu[vcpu, at.ROW]
    m.counters[row, Event.DIRTY_WALKS] += 1
    m.counters[row, Event.DIRTY_REFS] += guest_refs + host_refs
    tag = tag_of(space, vpn)
    for kind in range(L1, L2 + 1):
        built = geometry(m.stores, core * STORES + kind)
        if built[SETS]:
            index = set_of(built, vpn)
            way = find(m.stores, built, index, tag)
            if way >= 0:
                set_dirty(m.stores, index, way)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17))
    return _charge_walk(m, vcpu, cycles)


@part
def miss(m, core, vcpu, first, second, space, vpn, is_store):
    """Translate a page that no TLB holds. Returns (why it must go to Python or DONE, cycles)."""
    why = _short_of_memory(m, vcpu, vpn)
    if why != DONE:
        return why, np.int64(0)
    row = m.vcpu[vcpu, at.ROW]
    spent = np.int64(0)
    while True:
        end, frame, has_dirty, guest_refs, host_refs, cycles, ppn = _walk(m, core, vcpu, vpn, is_store, False)
        spent += _charge_walk(m, vcpu, cycles)
        if end == COMPLETE:
            break
        m.counters[row, Event.FAULT_REFS] += guest_refs + host_refs
        drop_linear(m.stores, core, space, vpn)
        if end == GUEST_PAGE_FAULT:
            spent += demand_fault(m, core, vcpu, vpn)
        else:
            spent += violation(m, core, vcpu, ppn)
    m.counters[row, Event.WALKS] += 1
    m.counters[row, Event.GUEST_REFS] += guest_refs
    m.counters[row, Event.HOST_REFS] += host_refs
    m.counters[row, Event.WALK_REFS] += guest_refs + host_refs
    tag = tag_of(space, vpn)
    if second[SETS]:
        fill(m.stores, second, set_of(second, vpn), tag, frame, has_dirty)
    fill(m.stores, first, set_of(first, vpn), tag, frame, has_dirty)
    fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ (guest_refs + host_refs))
    return DONE, spent


@kernel
def _walk(m, core, vcpu, vpn, is_store, is_quiet):
    if m.cost[at.MODE] == NESTED:
        return nested.walk(m, core, vcpu, vpn, is_store, is_quiet)
    return native.walk(m, core, vcpu, vpn, is_store, is_quiet)


@kernel
def _charge_walk(m, vcpu, cycles):
    """Count a walk's cycles and charge them divided by the walkers; the remainder is carried."""
    row = m.vcpu[vcpu, at.ROW]
    m.counters[row, Event.WALK_CYCLES] += cycles
    carried = m.vcpu[vcpu, at.CARRY] + cycles
    charged = carried // m.cost[at.WALKERS]
    m.vcpu[vcpu, at.CARRY] = carried - charged * m.cost[at.WALKERS]
    m.counters[row, Event.WALK_CHARGED_CYCLES] += charged
    return charged


@kernel
def _short_of_memory(m, vcpu, vpn):
    """Decide before anything changes whether the access could stop half-way for want of pages or frames."""
    process = m.vcpu[vcpu, at.PROCESS]
    vm = m.vcpu[vcpu, at.VM]
    free_pages = m.guests.vm[vm, at.GUEST_FREE]
    is_short = m.host.count[FRAME_FREE] < m.host.count[at.RESERVE]
    if not is_short and free_pages > m.guests.process[process, at.GUEST_LEVELS]:
        return DONE
    pages, lacks_frame = needs(m, process, vpn)
    if pages > free_pages:
        return NEED_GUEST_PAGES
    if is_short and lacks_frame:
        return NEED_FRAMES
    return DONE
