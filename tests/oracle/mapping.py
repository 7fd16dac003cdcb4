"""What a process does to its mappings: mmap, munmap, mprotect; and small pages that its kernel puts together."""

from __future__ import annotations

from vmcfg.scenario.spec import GuestEvent

from .faults import Kernel, access_past_tlbs, map_anew, split, write_leaf
from .flushes import forget_narrowed
from .memory import Entry, key, page_count
from .processes import clear_leaf
from .shared_memory import free_if_last
from .spaces import Space
from .vcpu import Vcpu

PART = "guest_cycles"


def mmap(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """Maps those that are not mapped."""
    space = vcpu.loaded.space
    for vpn in pages_of(vcpu, event, nth):
        if not vcpu.spaces.is_mapped(space, vpn):
            map_anew(vcpu, space, vpn, PART)
            vcpu.count("large_mapped", int(vcpu.spaces.level_of(space, vpn) != 1))


def munmap(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """Unmaps those that are, large ones split where they reach beyond."""
    space = vcpu.loaded.space
    pages = pages_of(vcpu, event, nth)
    narrowed = []
    for vpn in pages:
        if vcpu.spaces.is_mapped(space, vpn):
            level = _split_to(vcpu, space, vpn, pages)
            clear_leaf(vcpu, space, vpn, level)
            narrowed.append((vpn, level))
    forget_narrowed(vcpu, narrowed)
    free_if_last(vcpu, [vpn for vpn in pages if vpn in vcpu.memory.shared.known])


def mprotect(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """Takes or gives W; what is shared does not get it, but pages of files do."""
    space = vcpu.loaded.space
    pages = pages_of(vcpu, event, nth)
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


def collapse(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
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


def pages_of(vcpu: Vcpu, event: GuestEvent, nth: int) -> list[int]:
    """The pages that this occurrence concerns: the next ones of its region, round it."""
    region = vcpu.workload.regions[event.region]
    return [region.base_vpn + (nth * event.pages + i) % region.pages for i in range(event.pages)]


def _split_to(vcpu: Vcpu, space: Space, vpn: int, pages: list[int]) -> int:
    """Splits the large page of a page until no part of it is left that is not among `pages`; returns its level then."""
    while True:
        level = vcpu.spaces.level_of(space, vpn)
        assert level is not None
        first = vpn - vpn % page_count(level)
        if set(range(first, first + page_count(level))) <= set(pages):
            return level
        split(vcpu, space, vpn, PART)


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
