"""When a walk cannot finish: the guest's fault, the VMM's, or a log that is full.

All of this is one entry, which loops call by its address (`engine.answers`): what guests and VMMs do at faults is most
of the code there is, and it is compiled once, not into each loop.
"""

from __future__ import annotations

import numpy as np

from vmcfg.engine.answers import (
    ASKED_CORE,
    ASKED_END,
    ASKED_PPN,
    ASKED_REFS,
    ASKED_STORE,
    ASKED_VCPU,
    ASKED_VPN,
    KERNEL_FAULT,
)
from vmcfg.engine.large_tlbs import drop_large
from vmcfg.guest.fault import guest_fault
from vmcfg.guest.refill import answer_miss
from vmcfg.hardware.core import drop_linear
from vmcfg.jit import by_reference, entry, kernel
from vmcfg.metrics.events import Event
from vmcfg.mmu import shadow
from vmcfg.mmu.pml import drain_log, is_protecting, note_violation, write_anyway
from vmcfg.mmu.walks import HOST_VIOLATION, LOG_FULL, SHADOW_FAULT, TLB_MISS, kernel_walker_of, walker_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import violation


@entry
def answer_fault(machine, which):
    """Handle what has stopped a walk, as `m.asked` says, a FAULT or a KERNEL_FAULT; return the cycles."""
    m = by_reference(machine)
    a = m.asked
    core, vcpu, has_data_caches = a[ASKED_CORE], a[ASKED_VCPU], m.cost[at.HAS_DATA_CACHES] != 0
    if which == KERNEL_FAULT:
        walker = kernel_walker_of(m, core, vcpu, has_data_caches)
    else:
        walker = walker_of(m, core, vcpu, False, has_data_caches)
    return fault(m, walker, a[ASKED_VPN], a[ASKED_END], a[ASKED_PPN], a[ASKED_REFS], a[ASKED_STORE] != 0)


@kernel
def fault(m, walker, vpn, end, ppn, refs, is_store):
    """Handle a walk that could not finish: the guest's fault, or the VMM's. Returns the handlers' cycles."""
    m.counters[walker.row, Event.FAULT_REFS] += refs
    if end == LOG_FULL and not is_protecting(m):
        return drain_log(m, walker.core, walker.vcpu)
    drop_linear(m.stores, walker.core, walker.space, vpn, walker.bits, m.cost[at.IS_LEAN] != 0)
    if m.cost[at.HAS_LARGE_PAGES]:
        drop_large(m, walker.core, walker.space, vpn)
    if end == TLB_MISS:
        return answer_miss(m, walker, vpn, ppn != 0)
    if end == LOG_FULL:
        return write_anyway(m, walker.core, walker.vcpu, ppn)
    if end == HOST_VIOLATION:
        cycles = violation(m, walker.core, walker.vcpu, ppn)
        if is_protecting(m):
            note_violation(m, walker.vcpu, ppn, is_store)
        return cycles
    handling = np.int64(0)
    is_guests = True
    if end == SHADOW_FAULT:
        handling, is_guests = shadow.shadow_fault(m, walker, vpn, is_store)
    if is_guests:
        m.vcpu[walker.vcpu, at.FAULTING_STORE] = np.int64(is_store)
        handling += guest_fault(m, walker.core, walker.vcpu, vpn)
        m.vcpu[walker.vcpu, at.FAULTING_STORE] = 0
    return handling
