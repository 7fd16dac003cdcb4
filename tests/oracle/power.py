"""Power-off and reboot: a guest is gone from one moment to the next, and nobody has put anything away.

No leaf is cleared and nothing is written: what the guest's kernel knew is forgotten, table by table. After a power-off
the host has all back that the VM had of it; after a reboot the VM keeps what it has, and begins anew with that.
"""

from __future__ import annotations

from vmcfg.scenario.spec import GuestEvent

from .balloon import SLOWEST
from .compression import CompressionCache
from .faults import Kernel, take_exit
from .flushes import forget_vm, reload_cr3
from .guest_paging import GuestPager
from .memory import Entry
from .processes import PART, new_space
from .spaces import Process, Spaces
from .vcpu import Vcpu, to_cycles


def power_off(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    """Nothing is left, and no vCPU of the VM has anything more to do."""
    _forget_guest(vcpu)
    _give_back(vcpu)
    vcpu.spaces.is_off = True
    for each in vcpu.siblings:
        if each is not vcpu:
            _stop(each)
    take_exit(vcpu, "power", vcpu.costs["exit"] + forget_vm(vcpu.siblings[0]))


def reboot(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    """The first processes are there again, in new spaces; the balloon's driver finds that its balloon has popped."""
    spaces, guest = vcpu.spaces, vcpu.memory.guest
    vcpu.count("balloon_pops", int(guest is not None and bool(guest.driver.pages) and not guest.driver.is_popped))
    _forget_guest(vcpu)
    tags = [tag for slot in range(len(spaces.slots)) for tag in spaces.tags_of(slot)]
    for core in vcpu.cores:
        core.drop_spaces([*tags, vcpu.vm.name])
    take_exit(vcpu, "power", vcpu.costs["exit"])
    for slot in range(vcpu.workload.processes):
        spaces.slots[slot] = Process(slot, new_space(vcpu))
    vcpu.loaded = spaces.living()[0]
    vcpu.kept[0], vcpu.next_place = vcpu.loaded.slot, 1 % len(vcpu.kept)
    reload_cr3(vcpu)
    boot = vcpu.vm.boot
    spaces.is_up_at = vcpu.core.clock + (to_cycles(boot.duration_ns, vcpu.host.cpu.hz) if boot else 0)
    vcpu.wait_until(spaces.is_up_at)


# --- what the guest's kernel knew ---


def _forget_guest(vcpu: Vcpu) -> None:
    """Its processes and the kernel's own tables, balloon, page cache and swap area; who has which page."""
    for each in vcpu.siblings:
        each.kept, each.stale, each.waits_until = [None] * len(each.kept), set(), 0
        if each.shadow:
            each.shadow.leave_root()
    for process in vcpu.spaces.living():
        _forget_process(vcpu, process)
    if vcpu.memory.guest:
        _forget_pager(vcpu, vcpu.memory.guest)
    if vcpu.shadow:
        vcpu.shadow.tables.still_traced.clear()
    _free_all(vcpu)


def _forget_process(vcpu: Vcpu, process: Process) -> None:
    spaces = vcpu.spaces
    vcpu.count("process_exits")
    vcpu.count("large_unmapped", sum(level > 1 for _, level, _ in process.space.mappings()))
    tables = _tables(spaces, process, is_last=spaces.living() == [process])
    spaces.slots[process.slot] = None
    for ppn in tables:
        Kernel(vcpu, PART).free_table(ppn)


def _tables(spaces: Spaces, process: Process, is_last: bool) -> list[int]:
    """The pages of its tables, lowest level first, each ascending, then its roots; the last one's go with the kernel's.

    Of the last one that root goes first which leads to the kernel's.
    """
    roots = process.space.roots
    entries = roots[0].entries | process.space.tables
    if is_last and spaces.has_kernel:
        roots = roots[::-1]
        entries |= spaces.kernel | {spaces.key(spaces.levels, spaces.kernel_vpn): Entry(spaces.kernel_table)}
    places = sorted(place for place, entry in entries.items() if not entry.is_leaf)
    return [entries[place].target for place in places] + [root.ppn for root in roots]


def _forget_pager(vcpu: Vcpu, guest: GuestPager) -> None:
    """What was ballooned is as if never touched; what was dirty is lost; nobody waits for what is being written."""
    driver, cache, area = guest.driver, guest.cache, guest.area
    vcpu.count("balloon_deflated", len(driver.pages))
    driver.pages, driver.is_popped, driver.rate, driver.sleeps_until = [], False, SLOWEST, 0
    guest.memory.ballooned.clear()
    vcpu.count("cache_drops", len(cache.cached))
    for each in (cache.cached, cache.blocks, cache.dirty_since, guest.where, guest.gone):
        each.clear()
    if area:
        vcpu.count("guest_slots_freed", len(area.held))
        area.held, area.flights, area.next = {}, [], 0
        for ppn in range(guest.memory.vm.memory_pages):
            guest.candidates.leave(ppn)


def _free_all(vcpu: Vcpu) -> None:
    """All pages but the kernel's, in ascending order; nobody has forked yet."""
    memory = vcpu.memory
    memory.sharers.clear()
    memory.shared.forget()
    memory.free_ppns = list(reversed(range(memory.vm.kernel_pages, memory.vm.memory_pages)))
    memory.freed_ppns, memory.freed_blocks, memory.range_ppns = [], [], []
    vcpu.spaces.forks = 0


# --- what the host gets back ---


def _give_back(vcpu: Vcpu) -> None:
    """Page by page, then the EPT from its lowest tables up; what is on its way to the disk still gets there."""
    memory, pager = vcpu.memory, vcpu.memory.pager
    for ppn in range(memory.vm.memory_pages):
        _give_page_back(vcpu, ppn)
    if pager:
        pager.quota[memory.number] = 0
    for place in sorted(place for place, entry in memory.ept.items() if not entry.is_leaf):
        memory.frames.give_back(memory.ept[place].target)
    memory.ept.clear()
    memory.accessed.clear()
    if memory.is_nested:
        for number in range(-(-memory.vm.memory_pages // 512) if memory.host_levels == 1 else 1):
            memory.frames.give_back(memory.ept_root + number)
    vcpu.spaces.kernel, vcpu.spaces.has_kernel = {}, False


def _give_page_back(vcpu: Vcpu, ppn: int) -> None:
    memory = vcpu.memory
    if memory.pager and memory.pager.how:
        memory.candidates.leave(ppn)
    if ppn in memory.swapped:
        assert memory.pager and memory.pager.area
        del memory.pager.area.held[memory.swapped.pop(ppn)]
        vcpu.count("host_slots_dropped")
    elif memory.is_compressed(ppn):
        assert isinstance(memory.cache, CompressionCache)
        memory.cache.drop(ppn)
        vcpu.count("compressed_dropped")
    elif ppn in memory.pmap:
        memory.frames.give_back(memory.pmap.pop(ppn))


def _stop(vcpu: Vcpu) -> None:
    """It neither runs nor waits any more."""
    core = vcpu.core
    if vcpu in core.asleep:
        core.asleep.remove(vcpu)
    if vcpu in core.queue:
        core.head = None if vcpu is core.queue[0] else core.head
        core.queue.remove(vcpu)
