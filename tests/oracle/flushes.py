"""What makes a core forget translations because the guest says so: loads of CR3, INVLPG, shootdowns."""

from __future__ import annotations

from .memory import page_count
from .spaces import Process
from .vcpu import Vcpu

MOST_SINGLE_PAGES = 33  # Linux: tlb_single_page_flush_ceiling


def load_cr3(vcpu: Vcpu, process: Process) -> None:
    """Another space, or the other view of this one; keeps what may be kept."""
    _charge(vcpu, "cr3_loads", "cr3_load")
    vcpu.loaded = process
    slot = process.slot
    if not vcpu.has_pcid:
        _drop_all_spaces(vcpu)
    elif slot not in vcpu.kept:
        _give_place(vcpu, slot)
    elif slot in vcpu.stale:
        _drop(vcpu, slot)
    vcpu.stale.discard(slot)
    _tell_of_load(vcpu, vcpu)


def reload_cr3(vcpu: Vcpu) -> None:
    """The same space once more, to flush it."""
    _charge(vcpu, "cr3_loads", "cr3_load")
    _flush_loaded(vcpu)
    _tell_of_load(vcpu, vcpu)


def forget_loaded(vcpu: Vcpu) -> None:
    """The loaded process has lost all: who has it loaded too is made to load it anew."""
    reload_cr3(vcpu)
    for other in vcpu.siblings:
        if other is not vcpu and other.loaded is vcpu.loaded:
            _charge(vcpu, "shootdowns", "ipi")
            _charge(vcpu, "cr3_loads", "cr3_load")
            _flush_loaded(other)
            _tell_of_load(vcpu, other)


def forget_narrowed(vcpu: Vcpu, vpns: list[tuple[int, int]]) -> None:
    """Pages of the loaded process, with the levels of their entries, allow less: no vCPU may go on as before."""
    if not vpns:
        return
    _forget_pages(vcpu, vcpu, vpns)
    for other in vcpu.siblings:
        if other is vcpu:
            continue
        if other.loaded is vcpu.loaded:
            _charge(vcpu, "shootdowns", "ipi")
            _forget_pages(vcpu, other, vpns)
        elif vcpu.loaded.slot in other.kept:
            other.stale.add(vcpu.loaded.slot)


def forget_of(vcpu: Vcpu, process: Process, vpn: int) -> None:
    """A page of any process of the guest is gone: who has it loaded forgets it, who only keeps it will."""
    for other in [vcpu, *(each for each in vcpu.siblings if each is not vcpu)]:
        if other.loaded is process:
            if other is not vcpu:
                _charge(vcpu, "shootdowns", "ipi")
            _forget_pages(vcpu, other, [(vpn, 1)])
        elif process.slot in other.kept:
            other.stale.add(process.slot)


def forget_dead(vcpu: Vcpu, slot: int) -> None:
    """A process that is not loaded has ended: its tag is flushed."""
    _drop(vcpu, slot)


def forget_vm(first: Vcpu) -> int:
    """All cores forget a VM's memory, of which this is the first vCPU; returns what that costs."""
    tags = [tag for slot in range(len(first.spaces.slots)) for tag in first.spaces.tags_of(slot)]
    for core in first.cores:
        core.drop_spaces([*tags, first.vm.name])
        core.drop_memory(first.vm.name)
    is_nested = first.host.mmu.mode == "nested"
    if is_nested or first.host.mmu.vpid:
        first.count("invepts" if is_nested else "invvpids_context", len(first.cores))
    return first.costs["invept"] * len(first.cores)


def _forget_pages(payer: Vcpu, vcpu: Vcpu, vpns: list[tuple[int, int]]) -> None:
    """Page by page, or by a reload of CR3 if they are many."""
    if len(vpns) > MOST_SINGLE_PAGES:
        _charge(payer, "cr3_loads", "cr3_load")
        _flush_loaded(vcpu)
        _tell_of_load(payer, vcpu)
        return
    for vpn, level in vpns:
        _charge(payer, "invlpgs", "invlpg")
        first = vpn - vpn % page_count(level)
        vcpu.core.drop_pages(vcpu.spaces.tags_of(vcpu.loaded.slot), range(first, first + page_count(level)))
        if vcpu.shadow:
            vcpu.shadow.page_invalidated(vpn, payer)


def tell_of_pointer(vcpu: Vcpu) -> None:
    """The loaded process has a new entry in its root, which PAE reads at loads of CR3 only: all who run it load it."""
    for other in vcpu.siblings:
        if other.loaded is vcpu.loaded:
            if other is not vcpu:
                _charge(vcpu, "shootdowns", "ipi")
            _charge(vcpu, "cr3_loads", "cr3_load")
            _flush_loaded(other)
            _tell_of_load(vcpu, other)


def _tell_of_load(payer: Vcpu, vcpu: Vcpu) -> None:
    vcpu.pointers = vcpu.spaces.pointers(vcpu.loaded, vcpu.is_in_kernel)
    if vcpu.shadow:
        vcpu.shadow.cr3_loaded(payer)


def _flush_loaded(vcpu: Vcpu) -> None:
    if vcpu.has_pcid:
        _drop(vcpu, vcpu.loaded.slot)
    else:
        _drop_all_spaces(vcpu)


def _give_place(vcpu: Vcpu, slot: int) -> None:
    """The PCID of the next place in turn goes to a space, without anything that was cached under it."""
    loser = vcpu.kept[vcpu.next_place]
    if loser is not None:
        _drop(vcpu, loser)
        vcpu.stale.discard(loser)
    _drop(vcpu, slot)  # left by another vCPU of the core
    vcpu.kept[vcpu.next_place] = slot
    vcpu.next_place = (vcpu.next_place + 1) % len(vcpu.kept)


def _drop(vcpu: Vcpu, slot: int) -> None:
    vcpu.core.drop_spaces(vcpu.spaces.tags_of(slot))


def _drop_all_spaces(vcpu: Vcpu) -> None:
    for slot in range(len(vcpu.spaces.slots)):
        _drop(vcpu, slot)


def _charge(vcpu: Vcpu, event: str, cost: str) -> None:
    vcpu.count(event)
    vcpu.charge("flush_cycles", vcpu.costs[cost])
