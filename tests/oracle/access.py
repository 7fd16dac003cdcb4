"""One access, from the TLB lookup to its retirement."""

from __future__ import annotations

from .caches import Line
from .core import LOAD, STORE, of_size
from .faults import handle_ept_violation, handle_guest_fault, take_exit
from .memory import page_count, prefix
from .shadow_walk import ShadowFault, ShadowWalk
from .shortage import look_after
from .spaces import View
from .vcpu import Vcpu
from .walker import EptViolation, GuestFault, LogFull, Walk


def touch(vcpu: Vcpu, vpn: int, kind: int, accesses_per_touch: int) -> None:
    """Translates and retires one touch; those of its accesses that stay on the page hit the L1 TLB."""
    vcpu.is_looked_after = vcpu.is_told_of = False
    _access(vcpu, vcpu.spaces.user_view(vcpu.loaded), vpn, kind)
    vcpu.count("touches")
    vcpu.count("accesses", accesses_per_touch - 1)
    vcpu.count("l1_hits", accesses_per_touch - 1)
    vcpu.charge("base_cycles", (accesses_per_touch - 1) * vcpu.costs["access"])


def access_kernel(vcpu: Vcpu) -> None:
    """The guest's kernel loads from the next page of its memory."""
    page = vcpu.kernel_touches % vcpu.vm.kernel_pages
    vcpu.kernel_touches += 1
    vcpu.is_looked_after = vcpu.is_told_of = True
    _access(vcpu, vcpu.spaces.kernel_view(vcpu.loaded), vcpu.spaces.kernel_vpn + page, LOAD)
    vcpu.count("kernel_accesses")


def _access(vcpu: Vcpu, view: View, vpn: int, kind: int) -> None:
    """Finds the translation; a store that may not be made there begins anew, as if it had not looked."""
    with vcpu.at_one_time():
        _translate(vcpu, view, vpn, kind)


def _translate(vcpu: Vcpu, view: View, vpn: int, kind: int) -> None:
    outcome, line = _look_up(vcpu, view, vpn, kind)
    if kind == STORE and not line.dirty:
        look_after(vcpu, view, vpn, is_store=True)
        _tell(vcpu, view, vpn)
        if outcome == "stlb_hits" and vcpu.stands_at is not None:
            vcpu.stands_at += vcpu.costs["l2_tlb_hit"]
    while kind == STORE and not line.dirty and not _walk_for_dirty_bit(vcpu, view, vpn):
        outcome, line = _look_up(vcpu, view, vpn, kind)
    _tell(vcpu, view, vpn)
    vcpu.count(outcome)
    if outcome == "stlb_hits":
        vcpu.charge("tlb_cycles", vcpu.costs["l2_tlb_hit"])
    vcpu.count("accesses")
    vcpu.charge("base_cycles", vcpu.costs["access"])


def _tell(vcpu: Vcpu, view: View, vpn: int) -> None:
    """Once per touch, when nothing can stop it any more and before it changes anything."""
    if vcpu.memory.pager and vcpu.memory.guest and not vcpu.is_told_of:
        vcpu.memory.pager.note_access(vcpu, view, vpn)
        vcpu.memory.guest.note_access(vcpu, view, vpn)
    vcpu.is_told_of = True


def _look_up(vcpu: Vcpu, view: View, vpn: int, kind: int) -> tuple[str, Line]:
    """Returns what the lookup counts as, and the first level's entry."""
    first, second, tag = vcpu.core.first_level(kind), vcpu.core.l2, view.tlb_tag
    line = first.hit(tag, vpn) or _hit_large(vcpu, view, "l1", vpn, kind)
    if line is not None:
        return "l1_hits", line
    line = _hit_large(vcpu, view, "l2", vpn, kind)
    if line is not None:
        return "stlb_hits", line
    lower = second.hit(tag, vpn)
    if lower is not None:
        return "stlb_hits", first.fill(tag, vpn, lower.dirty)
    look_after(vcpu, view, vpn, is_store=kind == STORE)
    _tell(vcpu, view, vpn)
    line = _fill(vcpu, view, vpn, kind, _walk_until_done(vcpu, view, vpn, kind))
    assert line.dirty or kind != STORE
    return "walks", line


def _hit_large(vcpu: Vcpu, view: View, which: str, vpn: int, kind: int) -> Line | None:
    """The entry of 2 MiB or 1 GiB that holds a page; from the second level it comes into the first."""
    for level in (2, 3):
        home = vcpu.core.home(which, level, kind)
        tag, number = of_size(view.tlb_tag, level), prefix(level, vpn)
        line = home.hit(tag, number) if home else None
        if line is not None:
            first = vcpu.core.home("l1", level, kind)
            assert first is not None
            return line if which == "l1" else first.fill(tag, number, line.dirty)
    return None


def _fill(vcpu: Vcpu, view: View, vpn: int, kind: int, is_dirty: bool) -> Line:
    """Fills the second level, then the first, by the smaller of guest and host page that has a home in the first."""
    core, memory = vcpu.core, vcpu.memory
    if vcpu.spaces.levels == 0:
        wanted = level = memory.host_size(vpn)
    else:
        wanted = vcpu.spaces.mapping(view, vpn)
        entry = vcpu.spaces.entry(view, wanted, vpn)
        assert entry is not None
        level = min(wanted, memory.host_size(entry.target + vpn % page_count(wanted)))
    while level > 1 and core.home("l1", level, kind) is None:
        level -= 1
    if memory.may_be_large:
        vcpu.count({1: "filled_4k", 2: "filled_2m", 3: "filled_1g"}[level])
        vcpu.count("filled_splintered", int(level < wanted))
    first = core.first_level(kind) if level == 1 else core.home("l1", level, kind)
    second = core.l2 if level == 1 else core.home("l2", level, kind)
    assert first is not None
    tag, number = of_size(view.tlb_tag, level), prefix(level, vpn)
    if second is not None:
        second.fill(tag, number, is_dirty)
    return first.fill(tag, number, is_dirty)


def _walk_until_done(vcpu: Vcpu, view: View, vpn: int, kind: int) -> bool:
    """Walks and handles faults until a walk completes; returns its D."""
    while True:
        walk = _walk_for(vcpu, view, vpn, is_store=kind == STORE)
        try:
            is_dirty = walk.go()
        except ShadowFault:
            _count_walk(vcpu, walk)
            vcpu.count("fault_refs", walk.refs)
            _leave_to_the_vmm(vcpu, view, vpn, is_store=kind == STORE)
        except GuestFault as fault:
            _count_walk(vcpu, walk)
            vcpu.count("fault_refs", walk.refs)
            handle_guest_fault(vcpu, view, vpn, fault.is_present)
        except EptViolation as violation:
            _count_walk(vcpu, walk)
            vcpu.count("fault_refs", walk.refs)
            vcpu.core.drop_linear(view, vpn)
            handle_ept_violation(vcpu, violation.ppn, violation.kind)
        except LogFull:
            _give_up_for_the_log(vcpu, walk)
        else:
            _count_walk(vcpu, walk)
            vcpu.count("guest_refs", walk.guest_refs)
            vcpu.count("host_refs", walk.host_refs)
            vcpu.count("walk_refs", walk.refs)
            return is_dirty


def _walk_for_dirty_bit(vcpu: Vcpu, view: View, vpn: int) -> bool:
    """A store hit an entry without D: sets it in the tables and in the TLB entries that stores use.

    Returns whether it could: where the guest's leaf lacks W, its handler is called instead.
    """
    walk = _walk_for(vcpu, view, vpn, is_store=True, is_quiet=True)
    try:
        is_dirty = walk.go()  # finds each page and frame: what a TLB holds is present
    except ShadowFault:
        _count_walk(vcpu, walk)
        vcpu.count("fault_refs", walk.refs)
        _leave_to_the_vmm(vcpu, view, vpn, is_store=True)
        return False
    except GuestFault as fault:
        assert fault.is_present
        _count_walk(vcpu, walk)
        vcpu.count("fault_refs", walk.refs)
        handle_guest_fault(vcpu, view, vpn, is_present=True)
        return False
    except LogFull:
        _give_up_for_the_log(vcpu, walk)
        return _walk_for_dirty_bit(vcpu, view, vpn)
    assert is_dirty
    large = [(home, level) for (_, level), home in vcpu.core.large.items()]
    for tlb, level in [(vcpu.core.l1, 1), (vcpu.core.l2, 1), *large]:
        line = tlb.find(of_size(view.tlb_tag, level), prefix(level, vpn)) if tlb else None
        if line is not None:
            line.dirty = True
    _count_walk(vcpu, walk)
    vcpu.count("dirty_walks")
    vcpu.count("dirty_refs", walk.refs)
    return True


def _walk_for(vcpu: Vcpu, view: View, vpn: int, is_store: bool, is_quiet: bool = False) -> Walk:
    if vcpu.shadow:
        return ShadowWalk(vcpu.shadow, view, vpn, is_store, is_quiet)
    return Walk(vcpu.core, vcpu.spaces, view, vpn, is_store, is_quiet, vcpu.log, vcpu.pointers)


def _leave_to_the_vmm(vcpu: Vcpu, view: View, vpn: int, is_store: bool) -> None:
    """The shadow has no entry, or a read-only one: the VMM makes it, or the guest has to allow the access first."""
    assert vcpu.shadow
    vcpu.core.drop_linear(view, vpn)
    if vcpu.shadow.is_allowed(view, vpn, is_store):
        vcpu.shadow.handle_hidden_fault(view, vpn, is_store)
        return
    vcpu.shadow.handle_true_fault(view, vpn)
    vcpu.shadow.is_storing = is_store
    handle_guest_fault(vcpu, view, vpn, is_present=vcpu.shadow.leaf(view, vpn) is not None)
    vcpu.shadow.is_storing = False


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
