"""A vCPU's turn on its core: `take_turn` goes from one decision to the next, `stretch` through accesses between.

Accesses that ask for nothing never leave the hot loop, `engine.retire`. `stretch` paces, looks ahead, and answers what
has stopped that loop: a walk that needs a handler, a page for which memory may be short, a store without D.
"""

from __future__ import annotations

import numpy as np

from vmcfg.engine.access import charge_walk, shared
from vmcfg.engine.answers import FAULT, dirty_walk, generate, go_straight, handle_fault
from vmcfg.engine.phases import is_event_due, pace, schedule_next, settle, touches_left
from vmcfg.engine.queues import must_wait
from vmcfg.engine.references import is_told_of, tell
from vmcfg.engine.retire import MISS, NO_DIRTY_BIT_IN_L2, NOTHING, WALK, access_at, retire, tlbs_of
from vmcfg.engine.room import DONE, EVENTS_DUE, UNTIL, room_for
from vmcfg.jit import kernel
from vmcfg.metrics.events import Event
from vmcfg.mmu.references import dearest_walk
from vmcfg.mmu.walks import walker_of
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work

WORK_ENDED = 100  # the vCPU has nothing left to do
BLOCKED = 101  # it waits for a device
MOST_WALKING = 64  # accesses in a row that may walk
HEAVY = 8  # a stretch in which more than one touch in eight walks is worth looking ahead for


@kernel
def take_turn(m, core, vcpu, stop, until, mode, is_lean, has_data_caches):
    """Run a vCPU until its core's clock reaches `stop`, its work ends, or it has retired `until` touches."""
    while True:
        if must_wait(m, vcpu, m.core[core, at.CLOCK]):
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
    tlbs = tlbs_of(m.stores, core, is_lean)
    costs = m.work.phases[phase, work.PER_TOUCH] * m.cost[at.ACCESS], m.cost[at.L2_HIT]
    is_paced = m.work.phases[phase, work.STEP_DIVISOR] > 0
    is_told = not is_lean and is_told_of(m, vcpu)
    looks_ahead = m.vcpu[vcpu, at.IS_WALK_HEAVY] > 0
    start = position = m.vcpu[vcpu, at.NEXT]
    end = start + left
    most_of_hit = costs[0] + costs[1] + 1
    most_of_walk = most_of_hit + shared(m, dearest_walk(m, walker))[0]
    clock = m.core[core, at.CLOCK]
    ended = clock
    l2_hits = walks = np.int64(0)
    has_missed = False  # the access at `position`, and there is room for what it needs: it walks
    why = DONE
    while has_missed or (position < end and clock < halt and not must_wait(m, vcpu, clock)):
        last = end
        if is_paced and not has_missed:
            clock = pace(m, vcpu, clock, halt)
            if clock >= halt:
                break
        if looks_ahead:
            last = min(last, position + MOST_WALKING)
        # A row of walks must stay short, see `mmu.tally`: one that is not held to that is the access alone.
        if is_paced or is_told or (has_missed and (not looks_ahead or must_wait(m, vcpu, clock))):
            last = min(last, position + 1)
        before, was_missed = position, has_missed
        may_walk = has_missed or (looks_ahead and not is_told)
        last, for_noted = _row(walker, position, last, halt - clock, most_of_walk if may_walk else most_of_hit)
        position, clock, by_l2, by_walk, stopped_by, stop = retire(
            m, walker, tlbs, position, last, clock, for_noted, costs, mode, has_missed, may_walk, end * looks_ahead,
            is_lean
        )
        l2_hits += by_l2
        walks += by_walk
        if position > before:
            ended = clock
            has_missed = False
            if is_told and not was_missed:
                _tell(m, vcpu, before, start)
            if is_paced:
                schedule_next(m, vcpu, phase)
        if stopped_by == NOTHING:
            continue
        vpn, kind = access_at(m, vcpu, position)
        if stopped_by == WALK:
            if not has_missed:
                m.core[core, at.CLOCK] = clock
            clock += _have_handled(m, walker, vpn, kind == at.STORE, stop)
            has_missed = True  # and walks again
            continue
        why = room_for(m, walker, vpn, kind == at.STORE)
        if why != DONE:
            break
        if is_told:
            _tell(m, vcpu, position, start)
        has_missed = stopped_by == MISS
        is_in_l2 = np.int64(stopped_by == NO_DIRTY_BIT_IN_L2)
        m.core[core, at.CLOCK] = clock + is_in_l2 * costs[1]
        if not has_missed:
            cycles, is_done = _have_dirtied(m, walker, vpn)
            l2_hits += is_done * is_in_l2
            walks += 1 - is_done
            clock += cycles + is_done * is_in_l2 * costs[1] + costs[0]
            ended = clock
            position += 1
            if is_paced:
                schedule_next(m, vcpu, phase)
    m.core[core, at.CLOCK] = clock
    if position > start:
        _count(m, vcpu, phase, position - start, l2_hits, walks)
        m.marks[m.vcpu[vcpu, at.MARK], at.ENDED] = ended
    return why


@kernel
def _row(walker, position, last, cycles, most):
    """Return how far a row goes that has so many cycles left: (its end, cycles that may be taken by what it notes).

    Its accesses are those before `last` that are sure to begin in time, for none takes `most` cycles; one in any case.
    What data caches will take is not among these, and half of the time is set aside for it.
    """
    for_noted = max(np.int64(0), cycles >> 1) if walker.has_data_caches else np.int64(0)
    cycles -= for_noted
    if (last - position - 1) * most < cycles:
        return last, for_noted
    return position + max(np.int64(1), (cycles - 1) // most + 1), for_noted


@kernel
def _tell(m, vcpu, position, start):
    """Tell policies of replacement of a buffered access."""
    vpn, _ = access_at(m, vcpu, position)
    tell(m, vcpu, vpn, m.vcpu[vcpu, at.RETIRED] + position - start)


@kernel
def _have_handled(m, walker, vpn, is_store, stop):
    """Have handled what has stopped a walk; return the cycles of the handlers and of the walk."""
    how, ppn, refs, cycles = stop
    handling = handle_fault(m, walker.core, walker.vcpu, vpn, is_store, how, ppn, refs, np.int64(FAULT))
    return handling + charge_walk(m, walker.vcpu, walker.row, cycles)


@kernel
def _have_dirtied(m, walker, vpn):
    """Have D set for a store that hit an entry without it; return (the cycles of that, whether it was done).

    If the page might not be written, the access has begun anew, and has walked.
    """
    handling, cycles, is_done = dirty_walk(m, walker.core, walker.vcpu, vpn)
    return handling + charge_walk(m, walker.vcpu, walker.row, cycles), is_done


@kernel
def _count(m, vcpu, phase, touches, l2_hits, walks):
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
    m.counters[row, Event.WALKS] += walks
    m.counters[row, Event.TLB_CYCLES] += l2_hits * m.cost[at.L2_HIT]
    m.counters[row, Event.BASE_CYCLES] += touches * per_touch * m.cost[at.ACCESS]
