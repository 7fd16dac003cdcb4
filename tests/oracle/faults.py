"""What happens when an access may not be made: the guest's page-fault handler, and the VMM's of violations."""

from __future__ import annotations

from .memory import key, page_count
from .spaces import Space, View
from .vcpu import Vcpu


def take_exit(vcpu: Vcpu, reason: str, cycles: int) -> None:
    """Leaves the guest and comes back; without VPID the core forgets what is tagged by nothing."""
    vcpu.count_exit(reason, cycles)
    vcpu.charge("exit_cycles", cycles)
    if not vcpu.has_vpid:
        vcpu.core.flush_untagged()


def handle_ept_violation(vcpu: Vcpu, ppn: int, kind: str) -> None:
    """The VMM backs the page; the core forgets the guest-physical translations on the way to it."""
    pages, tables = vcpu.memory.back(ppn, kind)
    vcpu.core.drop_guest_physical(vcpu.vm.name, ppn)
    take_violation(vcpu, kind, pages, tables)


def take_violation(vcpu: Vcpu, kind: str, pages: int, tables: int) -> None:
    """The exit that backed some pages, and made some EPT tables: the frames of both are zeroed by the VMM."""
    costs, sizes = vcpu.costs, vcpu.memory.host_sizes
    if max(sizes.values()) > 1:  # what size it was answered with, where it could be another
        vcpu.count({1: "backed_4k", 512: "backed_2m", 512 * 512: "backed_1g"}[pages])
        vcpu.count("backed_smaller", int(pages < page_count(sizes[kind])))
    cycles = costs["exit"] + costs["ept_violation"] + costs["zero_page"] * (pages + tables)
    take_exit(vcpu, f"ept_violation_{kind}", cycles)


def handle_guest_fault(vcpu: Vcpu, view: View, vpn: int, is_present: bool) -> None:
    """The guest's page-fault handler: a page that is absent is mapped, one that forbids stores copied or opened."""
    vcpu.core.drop_linear(view, vpn)
    vcpu.count("guest_faults")
    vcpu.charge("guest_fault_cycles", vcpu.costs["guest_fault"])
    if is_present:
        _allow_store(vcpu, view.process.space, vpn)
    else:
        map_anew(vcpu, view.process.space, vpn, "guest_fault_cycles")


def map_anew(vcpu: Vcpu, space: Space, vpn: int, part: str) -> None:
    """Missing tables top down, then the page, each zeroed before it is linked in; charged to `part`."""
    preparing = Preparing(vcpu, part)
    tables, writes = vcpu.spaces.map_page(space, vpn, preparing)
    vcpu.count("guest_table_pages", tables)
    write_entries(vcpu, writes, part)


def write_entries(vcpu: Vcpu, writes: int, part: str) -> None:
    vcpu.count("gpt_writes", writes)
    vcpu.charge(part, writes * vcpu.costs["gpt_write"])


class Preparing:
    """Zeroes pages that the guest has taken, data only if its kernel does so, by accesses past the TLBs."""

    def __init__(self, vcpu: Vcpu, part: str) -> None:
        self.vcpu = vcpu
        self.part = part

    def __call__(self, ppn: int, kind: str) -> None:
        if kind == "table" or self.vcpu.vm.zero_on_fault:
            self.vcpu.charge(self.part, self.vcpu.costs["zero_page"])
            access_past_tlbs(self.vcpu, ppn, kind)


def access_past_tlbs(vcpu: Vcpu, ppn: int, kind: str) -> None:
    """A guest access by physical address: a page without a frame meets the VMM."""
    if ppn not in vcpu.memory.pmap:
        handle_ept_violation(vcpu, ppn, kind)


def _allow_store(vcpu: Vcpu, space: Space, vpn: int) -> None:
    """The leaf forbids stores: a page that others share is copied for this space, another is its own to write."""
    leaf = space.tables[key(1, vpn)]
    shared = leaf.target
    leaf.writable = True
    if shared in vcpu.memory.sharers:
        leaf.target = vcpu.memory.take_ppn("data")
        leaf.accessed = leaf.dirty = False
        access_past_tlbs(vcpu, shared, "data")
        access_past_tlbs(vcpu, leaf.target, "data")
        vcpu.memory.lose_sharer(shared)
        vcpu.count("cow_faults")
        vcpu.charge("guest_fault_cycles", vcpu.costs["copy_page"])
    else:
        vcpu.count("write_faults")
    write_entries(vcpu, 1, "guest_fault_cycles")
