"""The invariants of the machine, checked from outside the kernels at an epoch's end.

every frame has one kind, and the kinds' counts add up to the host's memory
every guest page is just one of kernel, free, table, cache and data, and data is shared as often as it is mapped
every page of a file that is in memory is in one place
every private frame belongs to just the guest page whose pmap names it
every large page is backed from its first page to its last, by neighbouring frames from a multiple of its size
every page out of memory has a slot of its own, and each layer knows just the pages that may go
every shadow entry says what the guest's table and the pmap say
every TLB entry that may still be used leads where its page table and the pmap lead now
"""

from __future__ import annotations

import numpy as np

from vmcfg.engine.file_invariants import cached_pages, check_files
from vmcfg.engine.paging_invariants import check_paging, flying
from vmcfg.engine.shadow import check_shadow
from vmcfg.engine.table_types import check_types
from vmcfg.hardware import sets
from vmcfg.hardware.core import L2, LARGE_TLBS, SOFTWARE_TLB, STORES
from vmcfg.hardware.stores import held
from vmcfg.jit import as_python
from vmcfg.plan.model import HostPlan, bits_of, pages_of_level
from vmcfg.vmm import machine as at

page_of_tag, space_of = as_python(sets.page_of_tag), as_python(sets.space_of)


OFTEN = 32  # epochs that are all checked; later, one in each 32nd of the run so far


class Checks:
    """What is checked at the epochs of a run: frames are counted at each; the rest takes longer the more there is."""

    def __init__(self, host: HostPlan, machine: at.Machine) -> None:
        self._host, self._machine = host, machine
        self._epochs = self._checked = 0

    def at_epoch(self, is_last: bool) -> None:
        """Check what is due at the next epoch, or at the last one. Raises AssertionError."""
        self._epochs += 1
        if is_last or self._epochs > self._checked + self._checked // OFTEN:
            check_machine(self._host, self._machine)
            self._checked = self._epochs
        else:
            _check_frames(self._machine)


def check_machine(host: HostPlan, machine: at.Machine) -> None:
    """Raise AssertionError, with what is wrong, if the machine breaks an invariant."""
    _check_frames(machine)
    _check_owners(host, machine)
    _check_guest_pages(host, machine)
    check_types(host, machine)
    check_paging(host, machine)
    check_files(host, machine)
    if host.shadow:
        check_shadow(host, machine)
    for number in range(len(host.vms)):
        _check_large_pages(host, machine, number)
    for core in range(host.cores):
        spaces = _spaces_in_use(host, machine, core)
        for kind in (*range(L2 + 1), SOFTWARE_TLB, *range(LARGE_TLBS, STORES)):
            _check_tlb(host, machine, core * STORES + kind, spaces)


def translate(host: HostPlan, machine: at.Machine, space: int, vpn: int) -> int | None:
    """Return the frame of a page by reading the tables alone, or None if it is not mapped and backed."""
    vm, table = _root_of(machine, space)
    ppn = _mapped_to(host, machine, vm, table, vpn)
    if ppn is None:
        return None
    page = int(machine.host.pmap[host.vms[vm].base + ppn])
    return page >> at.MPN_SHIFT if page & at.KIND_MASK == at.PRIVATE else None


def _mapped_to(host: HostPlan, machine: at.Machine, vm: int, table: int, vpn: int) -> int | None:
    """Return the PPN of a page by the guest's table, None if it is absent there; without paging, itself."""
    if not host.vms[vm].vm.table_levels:
        return vpn
    bits = bits_of(host.vms[vm].vm)
    entry = 0
    level = host.vms[vm].vm.table_levels + 1
    while level > 1 and not entry & at.LARGE_PAGE:
        level -= 1
        entry = int(machine.guests.tables[table * at.TABLE_ENTRIES + ((vpn >> (bits * (level - 1))) % 2**bits)])
        if not entry & at.PRESENT:
            return None
        table = entry >> at.CHILD_SHIFT
    return ((entry >> at.PPN_SHIFT) & at.PPN_MASK) + vpn % pages_of_level(level)


def _root_of(machine: at.Machine, space: int) -> tuple[int, int]:
    """Return (VM, root table) of an address space: a process's, its kernel view's, or that of a VM's global pages."""
    processes = machine.guests.process
    if space < len(processes):
        return int(processes[space, at.PROCESS_VM]), int(processes[space, at.ROOT_TABLE])
    view = int(np.flatnonzero(processes[:, at.KERNEL_SPACE] == space)[0])
    return int(processes[view, at.PROCESS_VM]), int(processes[view, at.KERNEL_ROOT_TABLE])


def _check_guest_pages(host: HostPlan, machine: at.Machine) -> None:
    """Every guest page is just one of: the kernel's, free, a table, cached, or mapped data; if there is paging."""
    for number, plan in enumerate(host.vms):
        if not plan.vm.table_levels:
            continue
        pages = slice(plan.base, plan.base + plan.vm.memory_pages)
        tables = int((machine.host.pmap[pages] & at.IS_TABLE != 0).sum())
        assert tables == machine.guests.vm[number, at.TABLE_PAGES], "a guest's tables are miscounted"
        mapped = _mapped_pages(host, machine, number)
        is_data = mapped > 0
        is_data[: plan.vm.kernel_pages if plan.kernel_pages else 0] = False
        used = tables + int(is_data.sum()) + plan.vm.kernel_pages
        free = int(machine.guests.vm[number, at.GUEST_FREE])
        used += flying(machine, 1 + number) if plan.vm.reclaim else 0
        used += int(machine.guests.vm[number, at.BALLOON_PAGES])
        cached = list(cached_pages(host, machine, number))
        used += sum(mapped[ppn] == 0 for ppn in cached)
        assert used + free == plan.vm.memory_pages, f"{used} guest pages are used, {free} free: not all"
        sharers = machine.guests.sharers[pages].astype(np.int64)
        is_first = np.ones(len(sharers), np.int64)  # a mapping that `sharers` does not count, but where a file holds it
        is_first[cached] = 0
        is_data[cached] = True
        for ppn in np.flatnonzero(is_data & (sharers + is_first != mapped)):
            raise AssertionError(f"page {ppn} is mapped {mapped[ppn]} times, {sharers[ppn]} sharers are kept")


def _mapped_pages(host: HostPlan, machine: at.Machine, vm: int) -> np.ndarray:
    """Return how often each page of a guest is mapped by its living processes."""
    mapped = np.zeros(host.vms[vm].vm.memory_pages, np.int64)
    processes = machine.guests.process
    for row in np.flatnonzero((processes[:, at.PROCESS_VM] == vm) & (processes[:, at.IS_LIVE] != 0)):
        tables = np.array([processes[row, at.ROOT_TABLE]])
        for level in range(host.vms[vm].vm.table_levels, 0, -1):
            places = np.arange(1 << bits_of(host.vms[vm].vm)) + tables[:, None] * at.TABLE_ENTRIES
            entries = machine.guests.tables[places.ravel()]
            entries = entries[entries & at.PRESENT != 0]
            is_leaf = (entries & at.LARGE_PAGE != 0) | (level == 1)
            firsts = (entries[is_leaf] >> at.PPN_SHIFT) & at.PPN_MASK
            if len(firsts):
                np.add.at(mapped, firsts[:, None] + np.arange(pages_of_level(level)), 1)
            tables = entries[~is_leaf] >> at.CHILD_SHIFT
    return mapped


def _check_frames(machine: at.Machine) -> None:
    counted = np.bincount(machine.host.kind, minlength=len(at.FRAME_KINDS))
    kept = machine.host.counts[: len(at.FRAME_KINDS)]
    assert (counted == kept).all(), f"frames by kind: counted {counted.tolist()}, kept {kept.tolist()}"
    assert kept.sum() == machine.host.counts[at.TOTAL], "frame kinds do not add up to the host's memory"


def _check_owners(host: HostPlan, machine: at.Machine) -> None:
    gpids = np.flatnonzero((machine.host.pmap & at.KIND_MASK) == at.PRIVATE)
    frames = machine.host.pmap[gpids] >> at.MPN_SHIFT
    assert (machine.host.kind[frames] == at.FRAME_PRIVATE).all(), "a backed page's frame is not private"
    assert (machine.host.owner[frames] == gpids).all(), "a frame's owner is not the page that maps it"
    assert len(np.unique(frames)) == len(frames), "a private frame is mapped twice"
    private = machine.host.counts[at.FRAME_PRIVATE]
    assert len(gpids) == private, f"{len(gpids)} pages are backed, {private} frames are private"


def _check_large_pages(host: HostPlan, machine: at.Machine, number: int) -> None:
    plan = host.vms[number]
    for level, first in plan.ept_offsets.items():
        pages = pages_of_level(level)
        entries = machine.host.ept[first : first + -(-plan.vm.memory_pages // pages)]
        for block in np.flatnonzero(entries < 0):
            begin = plan.base + int(block) * pages
            page = machine.host.pmap[begin : begin + pages]
            assert ((page & at.KIND_MASK) == at.PRIVATE).all(), f"a large page of level {level} is not backed"
            assert page[0] >> at.MPN_SHIFT & (pages - 1) == 0, "a large page's frames begin at no multiple of its size"
            assert (np.diff(page >> at.MPN_SHIFT) == 1).all(), "a large page's frames are no neighbours"


def _spaces_in_use(host: HostPlan, machine: at.Machine, core: int) -> set[int]:
    """Return the address spaces that a core's vCPUs have loaded, or may load without flushing what it holds of them."""
    processes = set()
    for vcpu in range(core, len(host.vcpus), host.cores):
        processes.add(int(machine.vcpu[vcpu, at.PROCESS]))
        if host.has_pcid:
            processes |= {place - 1 for place in machine.guests.pcids[vcpu].tolist() if place > 0}
    return processes | {int(machine.guests.process[process, at.KERNEL_SPACE]) for process in processes}


def _check_tlb(host: HostPlan, machine: at.Machine, cache: int, spaces: set[int]) -> None:
    for entry in held(machine.stores, cache):
        if space_of(entry.tag) not in spaces:
            continue
        vpn, level = page_of_tag(entry.tag)
        for page in (0, pages_of_level(level) - 1):
            found = translate(host, machine, space_of(entry.tag), vpn + page)
            assert found is not None, f"a TLB holds page {vpn + page:#x}, which is not mapped"
            is_own = found == entry.payload + page
            assert is_own, f"a TLB leads page {vpn + page:#x} to a frame that is not its own"
