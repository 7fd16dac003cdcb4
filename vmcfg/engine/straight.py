"""A vCPU's accesses without translation (`tlb: none`): each goes straight to its page.

There is no lookup, no reference of a walk and no cycle of either. What is left is memory: faults of the guest,
violations of the host, and the replacement policies, which are told of every access. So replacement can be compared, to
the last miss, with simulators that know pages and nothing else. The tables are walked as in `nested`, silently; A and D
are set. Each access counts as a hit of the first level, which costs what any access costs.

What a whole guest accessed in each epoch is replayed here and nowhere else: see `engine.epochs`.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import TRANSLATION, fold
from vmcfg.engine.answers import ASKED_CORE, ASKED_HALT, ASKED_LEFT, FAULT, handle_fault
from vmcfg.engine.epochs import schedule_in_epoch
from vmcfg.engine.phases import pace, schedule_next
from vmcfg.engine.queues import must_wait
from vmcfg.engine.references import is_told_of, tell
from vmcfg.engine.room import DONE, room_for
from vmcfg.hardware.sets import tag_of
from vmcfg.jit import by_reference, entry, part
from vmcfg.metrics.events import Event
from vmcfg.mmu import nested
from vmcfg.mmu.walks import COMPLETE, walker_of
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work


@entry
def straight_on(machine, vcpu):
    """Simulate up to ASKED_LEFT accesses while the clock is before ASKED_HALT: what `engine.turn.stretch` does."""
    m = by_reference(machine)
    core, halt, left = m.asked[ASKED_CORE], m.asked[ASKED_HALT], m.asked[ASKED_LEFT]
    phase = m.vcpu[vcpu, at.PHASE]
    row = m.vcpu[vcpu, at.ROW]
    per_touch = m.work.phases[phase, work.PER_TOUCH]
    base = per_touch * m.cost[at.ACCESS]
    has_epochs = m.work.phases[phase, work.EPOCHS] > 0
    is_paced = has_epochs or m.work.phases[phase, work.STEP_DIVISOR] > 0
    why = DONE
    done = np.int64(0)
    while done < left and m.core[core, at.CLOCK] < halt and not must_wait(m, vcpu, m.core[core, at.CLOCK]):
        if is_paced:
            m.core[core, at.CLOCK] = pace(m, vcpu, m.core[core, at.CLOCK], halt)
            if m.core[core, at.CLOCK] >= halt:
                break
        access = m.work.buffer[vcpu, m.vcpu[vcpu, at.NEXT]]
        vpn = (access >> at.VPN_SHIFT) & at.VPN_MASK
        is_store = (access >> at.KIND_SHIFT) & 3 == at.STORE
        walker = walker_of(m, core, vcpu, False, False)
        why = room_for(m, walker, vpn, is_store)
        if why != DONE:
            break
        if is_told_of(m, vcpu):
            tell(m, vcpu, vpn, m.vcpu[vcpu, at.RETIRED])
        _reach(m, core, vcpu, vpn, is_store)
        m.core[core, at.CLOCK] += base
        m.vcpu[vcpu, at.RETIRED] += 1
        m.vcpu[vcpu, at.NEXT] += 1
        m.marks[m.vcpu[vcpu, at.MARK], at.ENDED] = m.core[core, at.CLOCK]
        done += 1
        if has_epochs:
            schedule_in_epoch(m, vcpu, phase)
        elif is_paced:
            schedule_next(m, vcpu, phase)
    m.counters[row, Event.TOUCHES] += done
    m.counters[row, Event.ACCESSES] += done * per_touch
    m.counters[row, Event.L1_HITS] += done * per_touch
    m.counters[row, Event.BASE_CYCLES] += done * base
    return why


@part
def _reach(m, core, vcpu, vpn, is_store):
    """Go to a page, through whatever faults that takes."""
    walker = walker_of(m, core, vcpu, False, False)
    while True:
        end, ppn, _, _, _ = nested.walk(m, walker, vpn, is_store, False, False)
        if end == COMPLETE:
            fold(m.digest, TRANSLATION, tag_of(walker.space, vpn) ^ (ppn << 17))
            return
        m.core[core, at.CLOCK] += handle_fault(m, core, vcpu, vpn, is_store, end, ppn, np.int64(0), np.int64(FAULT))
