"""A vCPU's turn on its core: `take_turn` goes from one decision to the next, `stretch` is the hot loop between.

Accesses that hit the first-level TLB never leave `stretch`. It reads as the mechanism does: pace, look up,
translate if need be, retire.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import TRANSLATION, fold
from vmcfg.engine.access import count_hits, fill_tlbs, second_lookup, translate
from vmcfg.engine.ahead import BLOCK, look_ahead
from vmcfg.engine.answers import FAULT, dirty_walk, generate, go_straight
from vmcfg.engine.large_tlbs import IN_FIRST, IN_SECOND, fill_large, look_up_large
from vmcfg.engine.phases import is_event_due, pace, schedule_next, settle, touches_left
from vmcfg.engine.references import tell
from vmcfg.engine.room import DONE, EVENTS_DUE, UNTIL, may_run_short, shortage
from vmcfg.hardware.assoc import MIDDLE, NARROW, SETS, find, geometry, is_dirty, set_of, tag_of, touch
from vmcfg.hardware.core import L1, L1I, L2, STORES
from vmcfg.jit import kernel
from vmcfg.metrics.events import Event
from vmcfg.mmu.walks import walker_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.paging import IS_TOLD
from vmcfg.workload import fields as work

WORK_ENDED = 100  # the vCPU has nothing left to do
BLOCKED = 101  # it waits for a device
NOTHING, MISS, NO_DIRTY_BIT, NO_DIRTY_BIT_IN_L2 = range(4)  # what ends a row of hits in the TLBs
HEAVY = 8  # a stretch in which more than one touch in eight walks is worth looking ahead for


@kernel
def take_turn(m, core, vcpu, stop, until, mode, is_lean, has_data_caches):
    """Run a vCPU until its core's clock reaches `stop`, its work ends, or it has retired `until` touches."""
    while True:
        if m.vcpu[vcpu, at.WAITS_UNTIL]:
            return BLOCKED
        if is_event_due(m, vcpu):
            return EVENTS_DUE
        if not settle(m, core, vcpu):
            return WORK_ENDED
        if m.core[core, at.CLOCK] >= stop:
            return DONE
        if m.vcpu[vcpu, at.RETIRED] >= until:
            return UNTIL
        if m.vcpu[vcpu, at.NEXT] == m.vcpu[vcpu, at.BUFFERED]:
            generate(m, vcpu)
        halt = min(stop, min(m.vcpu[vcpu, at.DEADLINE], m.vcpu[vcpu, at.WARM_DEADLINE]))
        left = touches_left(m, vcpu, until)
        if m.core[core, at.CLOCK] < m.vcpu[vcpu, at.EVENT_TIME]:
            halt = min(halt, m.vcpu[vcpu, at.EVENT_TIME])
        else:
            left = min(left, np.int64(1))
        if not is_lean and m.cost[at.HAS_TLB] == 0:
            why = go_straight(m, core, vcpu, halt, left)
        else:
            why = stretch(m, core, vcpu, halt, left, mode, is_lean, has_data_caches)
        if why != DONE:
            return why


@kernel
def stretch(m, core, vcpu, halt, left, mode, is_lean, has_data_caches):
    """Simulate up to `left` buffered accesses while the clock is before `halt`."""
    phase = m.vcpu[vcpu, at.PHASE]
    walker = walker_of(m, core, vcpu, is_lean, has_data_caches)
    base = m.work.phases[phase, work.PER_TOUCH] * m.cost[at.ACCESS]
    costs = base, m.cost[at.L2_HIT]
    is_paced = m.work.phases[phase, work.STEP_DIVISOR] > 0
    looks_ahead = m.vcpu[vcpu, at.IS_WALK_HEAVY] > 0
    stores = m.stores
    data, fetches, second = tlbs(stores, core, is_lean)
    is_told = not is_lean and m.paging.rules[IS_TOLD] != 0
    has_large_pages = not is_lean and m.cost[at.HAS_LARGE_PAGES] != 0
    start = m.vcpu[vcpu, at.NEXT]
    end = start + left
    clock = m.core[core, at.CLOCK]
    ended = clock
    carry = m.vcpu[vcpu, at.CARRY]
    walks = l2_hits = raw = charged = np.int64(0)
    guest_refs = host_refs = guest_hits = host_hits = nested_hits = np.int64(0)
    why = DONE
    is_done = np.int64(1)
    position = start
    block = max(start, m.vcpu[vcpu, at.LOOKED_TO])
    while position < end and clock < halt:
        last = end
        if is_paced:
            clock = pace(m, vcpu, clock, halt)
            if clock >= halt:
                break
            last = position + 1
        if looks_ahead:
            if position == block:
                look_ahead(m, walker, vcpu, position, end, mode)
                block += BLOCK
            last = min(last, block)
        if is_told:
            last = min(last, position + 1)
        before = position
        position, clock, found_in_l2, stopped_by = retire_hits(
            m, walker, (data, fetches, second), has_large_pages, position, last, clock, halt, costs
        )
        l2_hits += found_in_l2
        if position > before:
            ended = clock
            if is_told:
                vpn = (m.work.buffer[vcpu, before] >> at.VPN_SHIFT) & at.VPN_MASK
                tell(m, vcpu, vpn, m.vcpu[vcpu, at.RETIRED] + before - start)
            if is_paced:
                schedule_next(m, vcpu, phase)
        if stopped_by == NOTHING:
            continue
        access = m.work.buffer[vcpu, position]
        vpn = (access >> at.VPN_SHIFT) & at.VPN_MASK
        kind = (access >> at.KIND_SHIFT) & 3
        if may_run_short(m, walker):
            why = shortage(m, vcpu, vpn, kind == at.STORE)
            if why != DONE:
                if stopped_by == NO_DIRTY_BIT_IN_L2:
                    l2_hits -= 1
                    clock -= costs[1]
                break
        if is_told:
            tell(m, vcpu, vpn, m.vcpu[vcpu, at.RETIRED] + position - start)
        if stopped_by == MISS:
            m.core[core, at.CLOCK] = clock
            handling, cycles, frame, has_dirty, in_guest, in_host, leaves, by_guest, by_host, by_nested = translate(
                m, walker, vpn, mode, kind == at.STORE, np.int64(FAULT), is_lean
            )
            guest_hits += by_guest
            host_hits += by_host
            nested_hits += by_nested
            walks += 1
            guest_refs += in_guest
            host_refs += in_host
            tag = tag_of(walker.space, vpn)
            if not has_large_pages or not fill_large(m, walker, vpn, kind, frame, has_dirty, leaves):
                fill_tlbs(stores, fetches if kind == at.FETCH else data, second, vpn, tag, frame, has_dirty)
            fold(m.digest, TRANSLATION, tag ^ (frame << 17) ^ (in_guest + in_host))
        else:
            m.core[core, at.CLOCK] = clock
            handling, cycles, is_done = dirty_walk(m, core, vcpu, vpn)
        clock += handling
        end = _last_before_wait(m, vcpu, position, end)
        if cycles:
            raw += cycles
            carry += cycles
            clock += carry >> m.cost[at.WALKERS_LOG2]
            charged += carry >> m.cost[at.WALKERS_LOG2]
            carry -= (carry >> m.cost[at.WALKERS_LOG2]) << m.cost[at.WALKERS_LOG2]
        if is_done == 0:  # the page might not be written: the access has begun anew, and counts as a walk
            if stopped_by == NO_DIRTY_BIT_IN_L2:
                l2_hits -= 1
                clock -= costs[1]
            is_done = np.int64(1)
            walks += 1
        clock += base
        ended = clock
        position += 1
        if is_paced:
            schedule_next(m, vcpu, phase)
    row = m.vcpu[vcpu, at.ROW]
    count_hits(m, row, guest_hits, host_hits, nested_hits)
    m.counters[row, Event.WALKS] += walks
    m.counters[row, Event.GUEST_REFS] += guest_refs
    m.counters[row, Event.HOST_REFS] += host_refs
    m.counters[row, Event.WALK_REFS] += guest_refs + host_refs
    m.counters[row, Event.WALK_CYCLES] += raw
    m.counters[row, Event.WALK_CHARGED_CYCLES] += charged
    m.vcpu[vcpu, at.CARRY] = carry
    m.vcpu[vcpu, at.LOOKED_TO] = block
    m.core[core, at.CLOCK] = clock
    if position > start:
        _retire(m, vcpu, phase, position - start, l2_hits, walks)
        m.marks[m.vcpu[vcpu, at.MARK], at.ENDED] = ended
    return why


@kernel
def retire_hits(m, walker, tlbs, has_large_pages, position, last, clock, halt, costs):
    """Retire accesses for as long as each hits a TLB and needs nothing else.

    Returns (position, clock, hits in the L2 TLB, what stopped it): NOTHING but `last` or `halt`, a MISS, or a store
    that has hit, and touched, an entry without D in the first or second level.
    """
    stores = m.stores
    data, fetches, second = tlbs
    base, l2_cost = costs
    stopped_by = NOTHING
    l2_hits = np.int64(0)
    while position < last and clock < halt:
        access = m.work.buffer[walker.vcpu, position]
        vpn = (access >> at.VPN_SHIFT) & at.VPN_MASK
        kind = (access >> at.KIND_SHIFT) & 3
        first = fetches if kind == at.FETCH else data
        tag = tag_of(walker.space, vpn)
        index = set_of(first, vpn)
        way = find(stores, first, index, tag)
        where = np.int64(0)
        if way >= 0:
            touch(stores, first, index, way)
            has_dirty = is_dirty(stores, first, index, way)
        else:
            if has_large_pages:
                where, has_dirty = look_up_large(m, walker.core, walker.space, vpn, kind)
            if where == 0:
                is_hit, has_dirty = second_lookup(stores, first, second, vpn, tag)
                if not is_hit:
                    stopped_by = MISS
                    break
                where = np.int64(IN_SECOND)
            if where == IN_SECOND:
                l2_hits += 1
                clock += l2_cost
        if (kind >> 1) & ~has_dirty:  # a store is 2
            stopped_by = NO_DIRTY_BIT if way >= 0 or where == IN_FIRST else NO_DIRTY_BIT_IN_L2
            break
        clock += base
        position += 1
    return position, clock, l2_hits, stopped_by


@kernel
def tlbs(stores, core, is_lean):
    """Return the geometry of a core's TLBs: for data, for fetches (the same if there is only one), second level."""
    data = geometry(stores, core * STORES + L1, is_lean, NARROW)
    fetches = data
    if not is_lean and stores.shape[core * STORES + L1I, SETS]:
        fetches = geometry(stores, core * STORES + L1I, is_lean, NARROW)
    return data, fetches, geometry(stores, core * STORES + L2, is_lean, MIDDLE)


@kernel
def _last_before_wait(m, vcpu, position, end):
    """Return where a stretch ends: behind an access that has asked a device for something."""
    return position + 1 if m.vcpu[vcpu, at.WAITS_UNTIL] else end


@kernel
def _retire(m, vcpu, phase, touches, l2_hits, walks):
    """Count what a stretch has done; the accesses behind a touch's first hit the first level by construction."""
    row = m.vcpu[vcpu, at.ROW]
    per_touch = m.work.phases[phase, work.PER_TOUCH]
    m.vcpu[vcpu, at.RETIRED] += touches
    m.vcpu[vcpu, at.NEXT] += touches
    m.vcpu[vcpu, at.IS_WALK_HEAVY] = np.int64(walks * HEAVY > touches)
    m.counters[row, Event.TOUCHES] += touches
    m.counters[row, Event.ACCESSES] += touches * per_touch
    m.counters[row, Event.L1_HITS] += touches * per_touch - l2_hits - walks
    m.counters[row, Event.STLB_HITS] += l2_hits
    m.counters[row, Event.TLB_CYCLES] += l2_hits * m.cost[at.L2_HIT]
    m.counters[row, Event.BASE_CYCLES] += touches * per_touch * m.cost[at.ACCESS]
