"""The guest's handler of misses of a software-managed TLB, between the two exits that the VMM makes of it."""

from __future__ import annotations

from vmcfg.guest.fault import guest_fault
from vmcfg.guest.mapping import charge_guest
from vmcfg.jit import part
from vmcfg.mmu import software_tlb
from vmcfg.vmm import machine as at


@part
def answer_miss(m, walker, vpn, is_store):
    """Answer a miss by the VMM's second TLB or by the guest's handler; return all their cycles."""
    cycles = software_tlb.trap(m, walker)
    if software_tlb.knows(m, walker, vpn, is_store):
        return cycles
    cycles += charge_guest(m, walker.vcpu, m.cost[at.GUEST_REFILL])
    entry = software_tlb.read_leaf(m, walker, vpn, is_store)
    while entry == 0:
        cycles += guest_fault(m, walker.core, walker.vcpu, vpn)
        entry = software_tlb.read_leaf(m, walker, vpn, is_store)
    return cycles + software_tlb.write(m, walker, vpn, entry)
