"""The schedule of a trace that says what a guest accessed in each epoch, and nothing of when within it.

Record i of an epoch of n is due i / n of the epoch's time after its beginning, in whole cycles: floor(i × time ÷ n). An
epoch that was cut short is spread over a whole one too, for nobody knows how much of it is missing.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work


@kernel
def schedule_in_epoch(m, vcpu, phase):
    """Set when the next record is due, after one has retired."""
    plan = m.work.phases
    position = (m.vcpu[vcpu, at.RETIRED] - 1 - m.vcpu[vcpu, at.PHASE_FIRST]) % plan[phase, work.RECORDS]
    begin, end = epoch_around(m, phase, position)
    m.vcpu[vcpu, at.DUE] += _due(m, phase, position + 1 - begin, end - begin) - _due(
        m, phase, position - begin, end - begin
    )


@kernel
def epoch_around(m, phase, position):
    """Return between which records the epoch of the one at a position lies: the first, and the one behind its last."""
    first = m.work.phases[phase, work.FIRST_EPOCH]
    low, high = first, first + m.work.phases[phase, work.EPOCHS] - 1
    while low < high:
        middle = (low + high) >> 1
        if m.work.epochs[middle] > position:
            high = middle
        else:
            low = middle + 1
    begin = m.work.epochs[low - 1] if low > first else np.int64(0)
    return begin, m.work.epochs[low]


@kernel
def _due(m, phase, place, records):
    """Return floor(place × epoch time ÷ records) without a product that could grow beyond 63 bits."""
    cycles = m.work.phases[phase, work.EPOCH_CYCLES]
    return place * (cycles // records) + place * (cycles % records) // records
