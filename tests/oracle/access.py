"""One touch, from the TLB lookup to its retirement, with the faults and exits on the way."""

from __future__ import annotations

from .core import STORE
from .memory import page_count
from .vcpu import Vcpu
from .walker import EptViolation, GuestFault, LogFull, Walk


def touch(vcpu: Vcpu, vpn: int, kind: int, accesses_per_touch: int) -> None:
    """Translates and retires one touch; those of its accesses that stay on the page hit the L1 TLB."""
    outcome = _look_up(vcpu, vpn, kind)
    vcpu.count(outcome)
    vcpu.count("touches")
    vcpu.count("accesses", accesses_per_touch)
    vcpu.count("l1_hits", accesses_per_touch - 1)
    vcpu.charge("base_cycles", accesses_per_touch * vcpu.costs["access"])


def take_exit(vcpu: Vcpu, reason: str, cycles: int) -> None:
    """Leaves the guest and comes back; without VPID the core forgets what is tagged by nothing."""
    vcpu.count_exit(reason, cycles)
    vcpu.charge("exit_cycles", cycles)
    if not vcpu.has_vpid:
        vcpu.core.flush_untagged()


def violation_cycles(vcpu: Vcpu, frames: int) -> int:
    """The frames of the page and of new EPT tables are zeroed by the VMM."""
    costs = vcpu.costs
    return costs["exit"] + costs["ept_violation"] + costs["zero_page"] * frames


def count_backing(vcpu: Vcpu, pages: int, kind: str) -> None:
    """What size of page a violation was answered with, where it could be another."""
    sizes = vcpu.memory.host_sizes
    if max(sizes.values()) > 1:
        vcpu.count({1: "backed_4k", 512: "backed_2m", 512 * 512: "backed_1g"}[pages])
        vcpu.count("backed_smaller", int(pages < page_count(sizes[kind])))


def _look_up(vcpu: Vcpu, vpn: int, kind: int) -> str:
    """Finds the translation, wherever it is, and returns what the lookup counts as."""
    core, vm = vcpu.core, vcpu.vm.name
    first = core.first_level(kind)
    outcome = "l1_hits"
    line = first.hit(vm, vpn)
    if line is None:
        outcome = "stlb_hits"
        second = core.l2.hit(vm, vpn)
        if second is not None:
            vcpu.charge("tlb_cycles", vcpu.costs["l2_tlb_hit"])
            line = first.fill(vm, vpn, second.dirty)
    if line is None:
        outcome = "walks"
        is_dirty = _walk_until_done(vcpu, vpn, kind)
        core.l2.fill(vm, vpn, is_dirty)
        line = first.fill(vm, vpn, is_dirty)
    if kind == STORE and not line.dirty:
        assert outcome != "walks"
        _walk_for_dirty_bit(vcpu, vpn)
    return outcome


def _walk_until_done(vcpu: Vcpu, vpn: int, kind: int) -> bool:
    """Walks and handles faults until a walk completes; returns its D."""
    while True:
        walk = Walk(vcpu.core, vcpu.memory, vpn, is_store=kind == STORE, log=vcpu.log)
        try:
            is_dirty = walk.go()
        except GuestFault:
            _count_walk(vcpu, walk)
            vcpu.count("fault_refs", walk.refs)
            _handle_guest_fault(vcpu, vpn)
        except EptViolation as violation:
            _count_walk(vcpu, walk)
            vcpu.count("fault_refs", walk.refs)
            vcpu.core.drop_linear(vcpu.vm.name, vpn)
            _handle_ept_violation(vcpu, violation.ppn, violation.kind)
        except LogFull:
            _give_up_for_the_log(vcpu, walk)
        else:
            _count_walk(vcpu, walk)
            vcpu.count("guest_refs", walk.guest_refs)
            vcpu.count("host_refs", walk.host_refs)
            vcpu.count("walk_refs", walk.refs)
            return is_dirty


def _walk_for_dirty_bit(vcpu: Vcpu, vpn: int) -> None:
    """A store hit an entry without D: sets it in the tables and in the TLB entries that stores use."""
    walk = Walk(vcpu.core, vcpu.memory, vpn, is_store=True, is_quiet=True, log=vcpu.log)
    try:
        is_dirty = walk.go()  # cannot fault: nothing that a TLB holds is ever taken away in this scope
    except LogFull:
        _give_up_for_the_log(vcpu, walk)
        _walk_for_dirty_bit(vcpu, vpn)
        return
    assert is_dirty
    for tlb in (vcpu.core.l1, vcpu.core.l2):
        line = tlb.find(vcpu.vm.name, vpn)
        if line is not None:
            line.dirty = True
    _count_walk(vcpu, walk)
    vcpu.count("dirty_walks")
    vcpu.count("dirty_refs", walk.refs)


def _give_up_for_the_log(vcpu: Vcpu, walk: Walk) -> None:
    """The VMM empties the log; nothing that was cached is taken away."""
    _count_walk(vcpu, walk)
    vcpu.count("fault_refs", walk.refs)
    assert vcpu.log is not None
    vcpu.log.clear()
    take_exit(vcpu, "pml_full", vcpu.costs["exit"] + vcpu.costs["pml_full"])


def _count_walk(vcpu: Vcpu, walk: Walk) -> None:
    """What is counted and charged for a walk of any outcome."""
    vcpu.count("guest_walk_cache_hits", walk.guest_walk_cache_hits)
    vcpu.count("host_walk_cache_hits", walk.host_walk_cache_hits)
    vcpu.count("nested_tlb_hits", walk.nested_tlb_hits)
    for where, times in walk.found.items():
        vcpu.count(where, times)
    vcpu.count("pages_logged", walk.logged)
    vcpu.count("walk_cycles", walk.cycles)
    vcpu.charge_walk(walk.cycles)


def _handle_guest_fault(vcpu: Vcpu, vpn: int) -> None:
    """The guest's page-fault handler: missing tables top down, then the page, each zeroed before it is linked in."""
    vcpu.core.drop_linear(vcpu.vm.name, vpn)
    zeroed: list[int] = []

    def zero(ppn: int, kind: str) -> None:
        if kind == "table" or vcpu.vm.zero_on_fault:
            zeroed.append(ppn)
            if ppn not in vcpu.memory.pmap:
                _handle_ept_violation(vcpu, ppn, kind)

    tables = vcpu.memory.map_page(vpn, zero)
    vcpu.count("guest_faults")
    vcpu.count("guest_table_pages", tables)
    vcpu.count("gpt_writes", tables + 1)
    costs = vcpu.costs
    cycles = costs["guest_fault"] + len(zeroed) * costs["zero_page"] + (tables + 1) * costs["gpt_write"]
    vcpu.charge("guest_fault_cycles", cycles)


def _handle_ept_violation(vcpu: Vcpu, ppn: int, kind: str) -> None:
    """The VMM backs the page; the core forgets the guest-physical translations on the way to it."""
    pages, tables = vcpu.memory.back(ppn, kind)
    count_backing(vcpu, pages, kind)
    vcpu.core.drop_guest_physical(vcpu.vm.name, ppn)
    take_exit(vcpu, f"ept_violation_{kind}", violation_cycles(vcpu, pages + tables))
