"""What the guest's kernel does to its processes between touches: one function for each kind of event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vmcfg.scenario.spec import GuestEvent, Promotion

from .access import access_kernel
from .faults import Kernel, access_past_tlbs, map_anew, split, write_leaf
from .flushes import forget_dead, forget_narrowed, load_cr3, reload_cr3
from .memory import Entry, key, page_count
from .promotion import promote
from .shared_memory import free_if_last
from .shortage import check_event, promise
from .spaces import Process, Space
from .vcpu import Vcpu

PART = "guest_cycles"
Occurrence = Callable[[Vcpu, GuestEvent, int], None]  # the how-manieth of this event in the phase, from 0


def happen(vcpu: Vcpu) -> None:
    """All that is due after the touch that was just made, in the order of the phase's events."""
    for number, event in enumerate(vcpu.phase.events):
        if _is_due(vcpu, event, vcpu.occurrences[number] + 1):
            check_event(vcpu, event, vcpu.occurrences[number])
            promise(vcpu, event)
            with vcpu.at_one_time():
                KINDS[event.kind](vcpu, event, vcpu.occurrences[number])
            promise(vcpu, None)
            vcpu.occurrences[number] += 1
            vcpu.retire()
    plan = vcpu.host.mmu.promotion
    if plan and _is_due(vcpu, plan, vcpu.promotions + 1):
        if vcpu.number == 0:
            promote(vcpu, plan, vcpu.promotions)
        vcpu.promotions += 1


def _is_due(vcpu: Vcpu, event: GuestEvent | Promotion, times: int) -> bool:
    if event.rate is None:
        divisor = event.every_divisor if isinstance(event, GuestEvent) else 1
        return times * event.every_touches // divisor <= vcpu.touches_in_stretch
    cycles = times * vcpu.host.cpu.hz * event.rate.seconds // event.rate.touches
    return vcpu.began_at + cycles <= vcpu.core.clock


def change_process(vcpu: Vcpu, _event: GuestEvent | None = None, _nth: int = 0) -> None:
    """Loads the next one, if there is another."""
    other = vcpu.spaces.next_after(vcpu.loaded.slot)
    if other:
        vcpu.count("context_switches")
        vcpu.charge(PART, vcpu.costs["context_switch"])
        load_cr3(vcpu, other)


def _system_call(vcpu: Vcpu, work: Callable[[], None]) -> None:
    """The way into the kernel and back, around what it does there."""
    vcpu.count("system_calls")
    vcpu.charge(PART, vcpu.costs["syscall"])
    vcpu.is_in_kernel = True
    if vcpu.vm.kpti:
        load_cr3(vcpu, vcpu.loaded)
    work()
    vcpu.is_in_kernel = False
    if vcpu.vm.kpti:
        load_cr3(vcpu, vcpu.loaded)


def _call(work: Occurrence) -> Occurrence:
    """The same as a system call."""
    return lambda vcpu, event, nth: _system_call(vcpu, lambda: work(vcpu, event, nth))


def _syscall(vcpu: Vcpu, event: GuestEvent, _nth: int) -> None:
    for _ in range(event.kernel_pages):
        access_kernel(vcpu)


def _mmap(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    space = vcpu.loaded.space
    for vpn in _pages(vcpu, event, nth):
        if not vcpu.spaces.is_mapped(space, vpn):
            map_anew(vcpu, space, vpn, PART)
            vcpu.count("large_mapped", int(vcpu.spaces.level_of(space, vpn) != 1))


def _munmap(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    space = vcpu.loaded.space
    pages = _pages(vcpu, event, nth)
    narrowed = []
    for vpn in pages:
        if vcpu.spaces.is_mapped(space, vpn):
            level = _split_to(vcpu, space, vpn, pages)
            _clear_leaf(vcpu, space, vpn, level)
            narrowed.append((vpn, level))
    forget_narrowed(vcpu, narrowed)
    free_if_last(vcpu, [vpn for vpn in pages if vpn in vcpu.memory.shared.known])


def _mprotect(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    space = vcpu.loaded.space
    pages = _pages(vcpu, event, nth)
    narrowed = []
    for vpn in pages:
        size = vcpu.spaces.level_of(space, vpn)
        if size is None:
            continue
        leaf = space.tables[key(size, vpn)]
        is_shared = leaf.slot is None and vcpu.memory.is_shared(leaf.target, page_count(size))
        is_shared = is_shared and not vcpu.memory.is_of_file(leaf.target)
        is_widened = event.to == "read_write" and not is_shared
        if leaf.writable if event.to == "read" else not leaf.writable and is_widened:
            level = _split_to(vcpu, space, vpn, pages)
            space.tables[key(level, vpn)].writable = is_widened
            write_leaf(vcpu, space, vpn, PART, level)
            if not is_widened:
                narrowed.append((vpn, level))
    forget_narrowed(vcpu, narrowed)


def _split_to(vcpu: Vcpu, space: Space, vpn: int, pages: list[int]) -> int:
    """Splits the large page of a page until no part of it is left that is not among `pages`; returns its level then."""
    while True:
        level = vcpu.spaces.level_of(space, vpn)
        assert level is not None
        first = vpn - vpn % page_count(level)
        if set(range(first, first + page_count(level))) <= set(pages):
            return level
        split(vcpu, space, vpn, PART)


def _fork(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    spaces = vcpu.spaces
    if None not in spaces.slots:
        oldest = spaces.oldest_child()
        if oldest is None:
            return
        end(vcpu, oldest)
    parent = vcpu.loaded
    child = Process(spaces.slots.index(None), _new_space(vcpu), spaces.forks)
    spaces.slots[child.slot] = child
    spaces.forks += 1
    for vpn, level, _ in parent.space.mappings():
        _share(vcpu, parent.space, child.space, vpn, level)
    reload_cr3(vcpu)
    vcpu.count("forks")


def _share(vcpu: Vcpu, parent: Space, child: Space, vpn: int, level: int) -> None:
    """Both may read the page, and who stores first will copy it, or its part of it; a file's is the same for both."""
    vcpu.count("guest_table_pages", vcpu.spaces.make_tables(child, vpn, Kernel(vcpu, PART), level))
    leaf = parent.tables[key(level, vpn)]
    if leaf.slot is not None:
        assert vcpu.memory.guest and vcpu.memory.guest.area
        vcpu.memory.guest.area.held[leaf.slot] += 1
        child.tables[key(level, vpn)] = replace(leaf)
        write_leaf(vcpu, child, vpn, PART, level)
        return
    is_of_file = vcpu.memory.is_of_file(leaf.target)
    if leaf.writable and not is_of_file:
        leaf.writable = False
        write_leaf(vcpu, parent, vpn, PART, level)
    child.tables[key(level, vpn)] = Entry(leaf.target, is_leaf=True, writable=is_of_file and leaf.writable)
    write_leaf(vcpu, child, vpn, PART, level)
    vcpu.memory.gain_sharer(leaf.target, page_count(level))
    vcpu.count("large_mapped", int(level > 1))


def _exec(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    process = vcpu.loaded
    old, process.space = process.space, _new_space(vcpu)
    reload_cr3(vcpu)
    tear_down(vcpu, old)
    _free_roots(vcpu, old)


def _exit(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    process = vcpu.loaded if vcpu.loaded.born is not None else vcpu.spaces.oldest_child()
    if process and len(vcpu.spaces.living()) > 1:
        _system_call(vcpu, lambda: end(vcpu, process))


def end(vcpu: Vcpu, process: Process) -> None:
    """Frees what a process has; if it is loaded, the next one is loaded before its root goes."""
    tear_down(vcpu, process.space)
    vcpu.spaces.slots[process.slot] = None
    if process is vcpu.loaded:
        reload_cr3(vcpu)
        change_process(vcpu)
    else:
        forget_dead(vcpu, process.slot)
    _free_roots(vcpu, process.space)
    vcpu.count("process_exits")


def tear_down(vcpu: Vcpu, space: Space) -> None:
    """Takes all leaves out of a space, ascending, then the tables below its roots; with the last, shared memory."""
    for vpn, level, _ in space.mappings():
        _clear_leaf(vcpu, space, vpn, level)
    vcpu.spaces.free_tables(space, Kernel(vcpu, PART))
    free_if_last(vcpu, vcpu.memory.shared.vpns)


def _clear_leaf(vcpu: Vcpu, space: Space, vpn: int, level: int) -> None:
    leaf = space.tables.pop(key(level, vpn))
    write_leaf(vcpu, space, vpn, PART, level)
    guest = vcpu.memory.guest
    if leaf.slot is not None:
        assert guest
        guest.release(vcpu, leaf.slot)
        return
    is_shared = leaf.target in vcpu.memory.sharers
    if guest:
        guest.cache.harvest(leaf)
    if is_shared or not vcpu.memory.is_of_file(leaf.target):
        vcpu.memory.release(leaf.target, page_count(level))
    if guest:
        guest.note_unmapped(space, vpn, leaf.target, is_shared)
    vcpu.count("large_unmapped", int(level > 1))


def _new_space(vcpu: Vcpu) -> Space:
    space = vcpu.spaces.new_space(Kernel(vcpu, PART))
    vcpu.count("guest_table_pages", len(space.roots))
    return space


def _free_roots(vcpu: Vcpu, space: Space) -> None:
    for root in space.roots:
        Kernel(vcpu, PART).free_table(root.ppn)


def _pages(vcpu: Vcpu, event: GuestEvent, nth: int) -> list[int]:
    """The pages that this occurrence concerns: the next ones of its region, round it."""
    region = vcpu.workload.regions[event.region]
    return [region.base_vpn + (nth * event.pages + i) % region.pages for i in range(event.pages)]


def _collapse(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """Not a system call: the next aligned ranges of 512 pages in the region, each if it is worth it."""
    region = vcpu.workload.regions[event.region]
    starts = range(-(-region.base_vpn // 512) * 512, region.base_vpn + region.pages - 511, 512)
    for i in range(event.ranges):
        first = starts[(nth * event.ranges + i) % len(starts)]
        vcpu.count("ranges_scanned")
        space = vcpu.loaded.space
        table = space.tables.get(key(2, first))
        if table is not None and not table.is_leaf:
            vcpu.charge(PART, 512 * vcpu.costs["access"])
            pages = {vpn: space.tables[key(1, vpn)] for vpn in range(first, first + 512) if key(1, vpn) in space.tables}
            is_own = all(leaf.writable and leaf.target not in vcpu.memory.sharers for leaf in pages.values())
            if pages and is_own and 512 - len(pages) <= event.max_absent:
                _put_together(vcpu, space, first, pages)


def _put_together(vcpu: Vcpu, space: Space, first: int, pages: dict[int, Entry]) -> None:
    memory, kernel = vcpu.memory, Kernel(vcpu, PART)
    block = memory.take_ppns(512)
    if block is None:
        return
    table = space.tables.pop(key(2, first)).target
    kernel.write(vcpu.spaces.leaf_table(space, first, 2), 2, first, None)
    forget_narrowed(vcpu, [(vpn, 1) for vpn in range(first, first + 512)])
    for n in range(512):
        old = pages.get(first + n)
        if old is None:
            kernel.prepare(block + n, "data")
        else:
            access_past_tlbs(vcpu, old.target, "data")
            access_past_tlbs(vcpu, block + n, "data")
            vcpu.charge(PART, vcpu.costs["copy_page"])
            del space.tables[key(1, first + n)]
            memory.free_ppn(old.target)
    kernel.free_table(table)
    used = any(leaf.accessed for leaf in pages.values()), any(leaf.dirty for leaf in pages.values())
    space.tables[key(2, first)] = Entry(block, *used, is_leaf=True)
    write_leaf(vcpu, space, first, PART, 2)
    vcpu.count("collapsed")
    vcpu.count("collapse_copied", len(pages))
    vcpu.count("collapse_added", 512 - len(pages))


def _flush(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """INVPCID, on the vCPU's own core; with KPTI a process has two tags, and each is an instruction."""
    spaces, core = vcpu.spaces, vcpu.core
    process = (spaces.next_after(vcpu.loaded.slot) if event.of_next else None) or vcpu.loaded
    tags = spaces.tags_of(process.slot)
    times = len(tags)
    if event.what == "page":
        vpn = _pages(vcpu, event, nth)[0]
        size = page_count(spaces.level_of(process.space, vpn) or 1)
        core.drop_page_of(tags, range(vpn - vpn % size, vpn - vpn % size + size), vpn, spaces.bits)
    elif event.what == "process":
        core.drop_spaces(tags)
    else:
        times = 1
        core.drop_spaces([tag for slot in range(len(spaces.slots)) for tag in spaces.tags_of(slot)])
        if event.what == "all_with_globals":
            core.drop_spaces([vcpu.vm.name])
    vcpu.count("invlpgs", times)
    vcpu.charge("flush_cycles", times * vcpu.costs["invlpg"])


def _read_file(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    assert vcpu.memory.guest
    vcpu.memory.guest.cache.read(vcpu, event, nth)


def _write_file(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    assert vcpu.memory.guest
    vcpu.memory.guest.cache.write(vcpu, event, nth)


KINDS: dict[str, Occurrence] = {
    "context_switch": change_process,
    "syscall": _call(_syscall),
    "mmap": _call(_mmap),
    "munmap": _call(_munmap),
    "mprotect": _call(_mprotect),
    "fork": _call(_fork),
    "exec": _call(_exec),
    "exit": _exit,
    "collapse": _collapse,
    "flush": _flush,
    "read_file": _call(_read_file),
    "write_file": _call(_write_file),
}
