"""The end of all vCPUs of a VM that has been powered off: none of them has anything more to do."""

from __future__ import annotations

from vmcfg.jit import kernel, part
from vmcfg.vmm import machine as at


@part
def end_vcpus(m, vcpu):
    """End the work of a vCPU, which leaves its core by itself, and take the others of its VM out of their queues."""
    for other in range(m.sched[at.VCPUS]):
        if m.vcpu[other, at.VM] == m.vcpu[vcpu, at.VM] and m.vcpu[other, at.STATUS] != at.FINISHED:
            m.vcpu[other, at.IS_WARM] = 0
            m.vcpu[other, at.LAST_RETIRED] = m.vcpu[other, at.RETIRED]
            m.vcpu[other, at.EVENT_TOUCH] = m.vcpu[other, at.EVENT_TIME] = at.UNLIMITED
            if other != vcpu:
                _take_out(m, other % m.sched[at.CORES], other)
                m.vcpu[other, at.STATUS] = at.FINISHED
                m.sched[at.UNFINISHED] -= 1


@kernel
def _take_out(m, core, vcpu):
    """Take a vCPU out of its core's queue, if it stands there."""
    found = 0
    for place in range(m.core[core, at.QUEUED]):
        if m.queue[core, place] == vcpu:
            found = 1
            if place == 0:
                m.core[core, at.HEAD] = at.NOBODY
        elif found:
            m.queue[core, place - 1] = m.queue[core, place]
    m.core[core, at.QUEUED] -= found
