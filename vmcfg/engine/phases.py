"""Where a vCPU stands in its workload: warm-up, phases, their ends, and the schedule of paced touches."""

from __future__ import annotations

import numpy as np

from vmcfg.engine.events import schedule_events
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work


@part
def settle(m, core, vcpu):
    """End the warm-up and phases that are over at this touch boundary; tell whether there is work left."""
    clock = m.core[core, at.CLOCK]
    v = m.vcpu
    while True:
        retired = v[vcpu, at.RETIRED]
        if v[vcpu, at.PHASE] < v[vcpu, at.FIRST_PHASE]:
            _begin_phase(m, vcpu, clock, v[vcpu, at.WAKE])
        elif v[vcpu, at.IS_WARM] and _is_warm_up_over(m, vcpu, clock):
            _end_warm_up(m, vcpu, clock)
        elif retired >= v[vcpu, at.LAST_RETIRED]:
            return False
        elif retired >= v[vcpu, at.PHASE_END] or clock >= v[vcpu, at.DEADLINE]:
            if v[vcpu, at.PHASE] == v[vcpu, at.LAST_PHASE]:
                return False
            _begin_phase(m, vcpu, clock, clock)
        else:
            return True


@kernel
def is_event_due(m, vcpu):
    """Tell whether the guest's kernel has something to do after the touch that was made last."""
    v = m.vcpu
    ended = m.marks[v[vcpu, at.MARK], at.ENDED]
    return v[vcpu, at.RETIRED] == v[vcpu, at.EVENT_TOUCH] or ended >= v[vcpu, at.EVENT_TIME]


@kernel
def touches_left(m, vcpu, until):
    """Return how many touches may be simulated before something has to be decided again."""
    v = m.vcpu
    end = min(v[vcpu, at.PHASE_END], min(v[vcpu, at.LAST_RETIRED], min(v[vcpu, at.WARM_TOUCHES], until)))
    end = min(end, v[vcpu, at.EVENT_TOUCH])
    return min(v[vcpu, at.BUFFERED] - v[vcpu, at.NEXT], end - v[vcpu, at.RETIRED])


@kernel
def pace(m, vcpu, clock, halt):
    """Let the vCPU execute until its next touch is due, or to `halt`; return the clock then."""
    v = m.vcpu
    row = v[vcpu, at.ROW]
    if clock < v[vcpu, at.DUE]:
        then = min(v[vcpu, at.DUE], halt)
        m.counters[row, Event.PACE_CYCLES] += then - clock
        return then
    debt = clock - v[vcpu, at.DUE] - m.cost[at.HZ]
    if debt > 0:  # more than a second late: the schedule moves, the stream does not
        v[vcpu, at.DUE] += debt
        m.counters[row, Event.DROPPED_CYCLES] += debt
    return clock


@kernel
def schedule_next(m, vcpu, phase):
    """Set when the next touch is due: touch i at the phase's start + floor(i × hz ÷ rate)."""
    v = m.vcpu
    v[vcpu, at.DUE] += m.work.phases[phase, work.STEP]
    v[vcpu, at.DUE_REMAINDER] += m.work.phases[phase, work.STEP_REMAINDER]
    if v[vcpu, at.DUE_REMAINDER] >= m.work.phases[phase, work.STEP_DIVISOR]:
        v[vcpu, at.DUE_REMAINDER] -= m.work.phases[phase, work.STEP_DIVISOR]
        v[vcpu, at.DUE] += 1


@kernel
def _begin_phase(m, vcpu, clock, since):
    v = m.vcpu
    v[vcpu, at.PHASE] += 1
    v[vcpu, at.PHASE_FIRST] = v[vcpu, at.RETIRED]
    v[vcpu, at.BUFFERED] = 0
    v[vcpu, at.NEXT] = 0
    v[vcpu, at.DUE] = clock
    v[vcpu, at.DUE_REMAINDER] = 0
    schedule_events(m, vcpu, clock)
    _set_limits(m, vcpu, clock)
    _enter_row(m, vcpu, since)


@kernel
def _is_warm_up_over(m, vcpu, clock):
    """Tell whether the warm-up ends here: by touches, by time, or because its trace has ended."""
    v = m.vcpu
    end = min(v[vcpu, at.WARM_TOUCHES], v[vcpu, at.PHASE_END])
    return v[vcpu, at.RETIRED] >= end or clock >= v[vcpu, at.WARM_DEADLINE]


@kernel
def _end_warm_up(m, vcpu, clock):
    v = m.vcpu
    v[vcpu, at.IS_WARM] = 0
    v[vcpu, at.WARM_TOUCHES] = at.UNLIMITED
    v[vcpu, at.WARM_DEADLINE] = at.UNLIMITED
    v[vcpu, at.LAST_RETIRED] = v[vcpu, at.RETIRED] + v[vcpu, at.RUN_TOUCHES]
    v[vcpu, at.DUE] = clock
    v[vcpu, at.DUE_REMAINDER] = 0
    schedule_events(m, vcpu, clock)
    _set_limits(m, vcpu, clock)
    _enter_row(m, vcpu, clock)


@kernel
def _set_limits(m, vcpu, clock):
    """Set where the phase ends; while the warm-up borrows the first phase, only its trace can end it."""
    v = m.vcpu
    phase = v[vcpu, at.PHASE]
    trace_end = v[vcpu, at.PHASE_FIRST]
    if m.work.phases[phase, work.KIND] != work.TRACE:
        trace_end = np.int64(at.UNLIMITED)
    elif v[vcpu, at.ORDINAL] == 0:  # a trace runs on vCPU 0
        trace_end += m.work.phases[phase, work.TRACE_TOUCHES]
    if v[vcpu, at.IS_WARM]:
        v[vcpu, at.PHASE_END] = trace_end
        v[vcpu, at.DEADLINE] = at.UNLIMITED
    else:
        v[vcpu, at.PHASE_END] = min(trace_end, v[vcpu, at.RETIRED] + m.work.phases[phase, work.TOUCHES])
        v[vcpu, at.DEADLINE] = clock + m.work.phases[phase, work.CYCLES]


@kernel
def _enter_row(m, vcpu, since):
    """Count from now on in the row of the current phase, or of the warm-up."""
    v = m.vcpu
    number = 0 if v[vcpu, at.IS_WARM] else 1 + v[vcpu, at.PHASE] - v[vcpu, at.FIRST_PHASE]
    v[vcpu, at.ROW] = v[vcpu, at.FIRST_ROW] + number
    if v[vcpu, at.MARK] != v[vcpu, at.FIRST_MARK] + number:
        v[vcpu, at.MARK] = v[vcpu, at.FIRST_MARK] + number
        m.marks[v[vcpu, at.MARK], at.STARTED] = since
