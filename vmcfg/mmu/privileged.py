"""What the guest's kernel does beside table writes that the VMM may want to know: each mode answers in its way.

Faults, loads of CR3, INVLPG, and processes whose page tables come to life or are about to end. In `native` and
`nested` the VMM hears of none of it. All return the cycles that the VMM makes of it.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.metrics.events import Exit
from vmcfg.mmu import paravirt, shadow_answers, software_tlb
from vmcfg.mmu.walks import PARAVIRT, SHADOW, SOFTWARE_TLB
from vmcfg.vmm import machine as at


@kernel
def enter_handler(m, core, vcpu):
    """The guest's page-fault handler begins."""
    if m.cost[at.MODE] == PARAVIRT:
        return paravirt.bounce(m, core, vcpu)
    return np.int64(0)


@kernel
def leave_kernel(m, core, vcpu):
    """The guest's kernel returns to its program."""
    if m.cost[at.MODE] == PARAVIRT:
        return paravirt.flush_queue(m, core, vcpu)
    return np.int64(0)


@kernel
def load_root(m, core, vcpu, before, process):
    """CR3 is loaded with a root of a process, in place of one of `before`: the same to flush, or for another view."""
    if m.cost[at.MODE] == PARAVIRT:
        return paravirt.load_root(m, core, vcpu, before, process)
    if m.cost[at.MODE] == SOFTWARE_TLB:
        return software_tlb.privileged(m, core, vcpu, Exit.CR3_LOAD)
    return flush_at(m, core, vcpu, vcpu)


@kernel
def flush_at(m, core, vcpu, payer):
    """A vCPU has loaded CR3, which may be the same as before; if another has interrupted it for that, that one pays."""
    if m.cost[at.MODE] == SHADOW:
        root = at.KERNEL_ROOT_TABLE if m.vcpu[vcpu, at.IN_KERNEL] else at.ROOT_TABLE
        return shadow_answers.cr3_loaded(m, core, vcpu, payer, m.guests.process[m.vcpu[vcpu, at.PROCESS], root])
    return np.int64(0)


@kernel
def invalidate(m, core, vcpu):
    """A page is invalidated, on all vCPUs that need to."""
    if m.cost[at.MODE] == PARAVIRT:
        return paravirt.hypercall(m, core, vcpu)
    if m.cost[at.MODE] == SOFTWARE_TLB:
        return software_tlb.privileged(m, core, vcpu, Exit.INVLPG)
    return np.int64(0)


@kernel
def invalidate_at(m, core, vcpu, payer, vpn):
    """One vCPU executes INVLPG; if another has interrupted it for that, that one pays."""
    if m.cost[at.MODE] == SHADOW:
        return shadow_answers.page_invalidated(m, core, vcpu, payer, vpn)
    return np.int64(0)


@kernel
def begin_space(m, core, vcpu, process):
    """The page tables of a process are ready to be used."""
    if m.cost[at.MODE] == PARAVIRT:
        return paravirt.pin(m, core, vcpu, process)
    return np.int64(0)


@kernel
def end_space(m, core, vcpu, process):
    """The page tables of a process are not used any more."""
    if m.cost[at.MODE] == PARAVIRT:
        return paravirt.unpin(m, core, vcpu, process)
    return np.int64(0)
