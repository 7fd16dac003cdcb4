"""What happens when an access may not be made: the guest's page-fault handler, and the VMM's of violations."""

from __future__ import annotations

from .flushes import forget_narrowed, tell_of_pointer
from .memory import Entry, key, page_count
from .spaces import Space, View
from .vcpu import Vcpu


def take_exit(vcpu: Vcpu, reason: str, cycles: int, payer: Vcpu | None = None) -> None:
    """Leaves the guest and comes back; without VPID the core forgets what is tagged by nothing.

    `payer` is who has interrupted the vCPU to make it exit, if somebody has. What the VMM has spent on compressed pages
    since the last exit belongs to this one.
    """
    cycles, vcpu.spent = cycles + vcpu.spent, 0
    (payer or vcpu).count_exit(reason, cycles)
    (payer or vcpu).charge("exit_cycles", cycles)
    if not vcpu.has_vpid:
        vcpu.core.flush_untagged()


def handle_ept_violation(vcpu: Vcpu, ppn: int, kind: str, overwritten_by: str = "") -> None:
    """The VMM backs the page; the core forgets the guest-physical translations on the way to it."""
    reason = vcpu.memory.where_is(ppn)
    pages, tables = supply(vcpu, ppn, kind, overwritten_by)
    vcpu.core.drop_guest_physical(vcpu.vm.name, ppn)
    take_violation(vcpu, kind, pages, tables, reason)


def supply(vcpu: Vcpu, ppn: int, kind: str = "data", overwritten_by: str = "") -> tuple[int, int]:
    """Gives a page a frame wherever it is now; returns (pages, EPT tables) whose frames had to be zeroed."""
    memory = vcpu.memory
    if ppn in memory.swapped:
        assert memory.pager
        memory.pager.page_in(vcpu, ppn, overwritten_by)
        return 0, 0
    if memory.is_compressed(ppn):
        assert memory.pager
        memory.pager.decompress(vcpu, ppn, overwritten_by)
        return 0, 0
    if ppn in memory.ballooned:
        assert memory.guest
        memory.guest.driver.pop()
    return memory.back(ppn, kind)


def take_violation(vcpu: Vcpu, kind: str, pages: int, tables: int, reason: str = "") -> None:
    """The exit that backed some pages, and made some EPT tables: the frames of both are zeroed by the VMM."""
    costs, sizes = vcpu.costs, vcpu.memory.host_sizes
    if reason:
        handling = costs["hidden_fault" if vcpu.shadow else "ept_violation"]
        take_exit(vcpu, reason, costs["exit"] + handling + costs["zero_page"] * (pages + tables))
        return
    if vcpu.shadow:
        take_exit(vcpu, "hidden_fault", costs["exit"] + costs["hidden_fault"] + costs["zero_page"] * pages)
        return
    if vcpu.memory.may_be_large:  # what size it was answered with, where it could be another
        vcpu.count({1: "backed_4k", 512: "backed_2m", 512 * 512: "backed_1g"}[pages])
        vcpu.count("backed_smaller", int(pages < page_count(sizes[kind])))
    cycles = costs["exit"] + costs["ept_violation"] + costs["zero_page"] * (pages + tables)
    take_exit(vcpu, f"ept_violation_{kind}", cycles)


def handle_guest_fault(vcpu: Vcpu, view: View, vpn: int, is_present: bool) -> None:
    """The guest's page-fault handler: a page that is absent is mapped, one that forbids stores copied or opened."""
    vcpu.core.drop_linear(view, vpn)
    vcpu.count("guest_faults")
    vcpu.charge("guest_fault_cycles", vcpu.costs["guest_fault"])
    leaf = view.process.space.tables.get(key(1, vpn))
    if is_present:
        _allow_store(vcpu, view.process.space, vpn)
    elif leaf and leaf.slot is not None:
        assert vcpu.memory.guest
        vcpu.memory.guest.swap_in(vcpu, view.process.space, vpn)
    elif not _map_file(vcpu, view.process.space, vpn):
        is_in_slot = vpn in vcpu.memory.shared.slots
        map_anew(vcpu, view.process.space, vpn, "guest_fault_cycles")
        if not is_in_slot:
            _count_mapping(vcpu, vcpu.spaces.mapping(view, vpn))


def _map_file(vcpu: Vcpu, space: Space, vpn: int) -> bool:
    """Maps a page of a file, which may have to be read, after the tables that are missing; whether it is one."""
    guest = vcpu.memory.guest
    block = guest.cache.mapped_block(vpn) if guest else None
    if guest is None or block is None:
        return False
    guest.cache.fault(vcpu, block)
    vcpu.count("guest_table_pages", vcpu.spaces.make_tables(space, vpn, Kernel(vcpu, "guest_fault_cycles")))
    ppn = guest.cache.find(vcpu, block, 0)
    space.tables[key(1, vpn)] = Entry(ppn, is_leaf=True)
    write_leaf(vcpu, space, vpn, "guest_fault_cycles")
    guest.note_file_mapped(space, vpn, ppn)
    return True


def _count_mapping(vcpu: Vcpu, level: int) -> None:
    """What size of page a fault was answered with, where it could be another."""
    if vcpu.memory.may_be_large:
        vcpu.count({1: "mapped_4k", 2: "mapped_2m", 3: "mapped_1g"}[level])
        vcpu.count("mapped_smaller", int(level < vcpu.memory.guest_size))


def map_anew(vcpu: Vcpu, space: Space, vpn: int, part: str) -> None:
    """Missing tables top down, then the page, each zeroed before it is linked in; charged to `part`."""
    before = len(space.roots[0].entries)
    vcpu.count("guest_table_pages", vcpu.spaces.map_page(space, vpn, Kernel(vcpu, part)))
    if vcpu.memory.guest:
        vcpu.memory.guest.note_mapped(space, vpn, space.tables[key(1, vpn)].target)
    if vcpu.spaces.levels == 3 and len(space.roots[0].entries) > before:
        tell_of_pointer(vcpu)


def write_leaf(vcpu: Vcpu, space: Space, vpn: int, part: str, level: int = 1) -> None:
    """A leaf has become what it is now, or is gone."""
    table = vcpu.spaces.leaf_table(space, vpn, level)
    leaf = space.tables.get(key(level, vpn))
    Kernel(vcpu, part).write(table, level, vpn, None if leaf and leaf.slot is not None else leaf)


def split(vcpu: Vcpu, space: Space, vpn: int, part: str) -> None:
    """A large page becomes 512 of the next smaller size, and what is cached of it goes."""
    level = vcpu.spaces.level_of(space, vpn)
    assert level is not None
    vcpu.spaces.split(space, vpn, Kernel(vcpu, part))
    vcpu.count("guest_table_pages")
    vcpu.count("guest_splits")
    vcpu.count("large_mapped", 512 if level == 3 else 0)
    forget_narrowed(vcpu, [(vpn, level)])


class Kernel:
    """What the guest's kernel does to pages and tables, on a vCPU, charged to one part of its time."""

    def __init__(self, vcpu: Vcpu, part: str) -> None:
        self.vcpu = vcpu
        self.part = part

    def prepare(self, ppn: int, kind: str) -> None:
        """Zeroes a page, data only if the kernel does so, by an access past the TLBs."""
        if kind == "split":  # a table that is written all over
            access_past_tlbs(self.vcpu, ppn, "table")
        elif kind == "table" or self.vcpu.vm.zero_on_fault:
            self.vcpu.charge(self.part, self.vcpu.costs["zero_page"])
            access_past_tlbs(self.vcpu, ppn, kind)

    def read(self, ppn: int, slot: int) -> None:
        """By the guest's disk."""
        assert self.vcpu.memory.guest
        self.vcpu.memory.guest.read_slot(self.vcpu, ppn, slot)

    def write(self, table: int, level: int, vpn: int, entry: Entry | None) -> None:
        """One entry of a table; the VMM may have something to say to it."""
        self.vcpu.count("gpt_writes")
        self.vcpu.charge(self.part, self.vcpu.costs["gpt_write"])
        if self.vcpu.shadow:
            self.vcpu.shadow.table_written(table, level, vpn, entry)

    def free_table(self, ppn: int) -> None:
        """The page of a table, to the guest's free pages."""
        if self.vcpu.shadow:
            self.vcpu.shadow.table_freed(ppn)
        self.vcpu.memory.note_no_table(ppn)
        self.vcpu.memory.free_ppn(ppn)
        self.vcpu.count("table_pages_freed")


def access_past_tlbs(vcpu: Vcpu, ppn: int, kind: str, overwritten_by: str = "cpu") -> None:
    """A guest access by physical address, that mostly writes all of the page: one without a frame meets the VMM."""
    if vcpu.shadow:
        vcpu.shadow.page_accessed(ppn, kind, overwritten_by)
    elif ppn not in vcpu.memory.pmap:
        handle_ept_violation(vcpu, ppn, kind, overwritten_by)


def _allow_store(vcpu: Vcpu, space: Space, vpn: int) -> None:
    """The leaf forbids stores: a page that others share is copied for this space, another is its own to write."""
    level = vcpu.spaces.level_of(space, vpn)
    assert level is not None
    if level > 1:
        large = space.tables[key(level, vpn)]
        if not vcpu.memory.is_shared(large.target, page_count(level)):
            large.writable = True
            vcpu.count("write_faults")
            write_leaf(vcpu, space, vpn, "guest_fault_cycles", level)
            return
        while vcpu.spaces.level_of(space, vpn) != 1:
            split(vcpu, space, vpn, "guest_fault_cycles")
    leaf = space.tables[key(1, vpn)]
    shared = leaf.target
    leaf.writable = True
    if shared in vcpu.memory.sharers and not vcpu.memory.is_of_file(shared):
        leaf.target = vcpu.memory.take_ppn("data")
        leaf.accessed = leaf.dirty = False
        access_past_tlbs(vcpu, shared, "data", "")
        access_past_tlbs(vcpu, leaf.target, "data")
        vcpu.memory.lose_sharer(shared)
        if vcpu.memory.guest:
            vcpu.memory.guest.note_unmapped(space, vpn, shared, is_shared=True)
            vcpu.memory.guest.note_mapped(space, vpn, leaf.target)
        vcpu.count("cow_faults")
        vcpu.charge("guest_fault_cycles", vcpu.costs["copy_page"])
    else:
        vcpu.count("write_faults")
    write_leaf(vcpu, space, vpn, "guest_fault_cycles")
