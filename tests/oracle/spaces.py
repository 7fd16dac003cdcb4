"""The address spaces of a VM: each process's tables, and the kernel's, as dictionaries of entries.

A space has one root, or under KPTI two, the user's and the kernel's view. What lies below is there once: both roots
lead to it. The kernel's tables belong to all spaces, each root that sees them has an entry of its own for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

from .memory import Entry, Memory, Place, key, page_count

USER, KERNEL = 0, 1  # indices of roots; without KPTI the only one serves both
Tag = tuple[str, int, int]


class Use(Protocol):
    """What a kernel does with pages that it takes, and with the entries in them."""

    def prepare(self, ppn: int, kind: str) -> None:
        """Makes a page ready that was taken for `table` or `data`."""

    def read(self, ppn: int, slot: int) -> None:
        """Reads a slot of the swap area into a page."""

    def write(self, table: int, level: int, vpn: int, entry: Entry | None) -> None:
        """Writes the entry of `level` for a page in the table that lies in page `table`; None makes it absent."""

    def free_table(self, ppn: int) -> None:
        """Gives the page of a table back."""


@dataclass
class Root:
    ppn: int
    to_kernel: Entry | None
    entries: dict[Place, Entry] = field(default_factory=dict)


@dataclass
class Space:
    roots: list[Root]
    tables: dict[Place, Entry] = field(default_factory=dict)  # below the roots

    def mappings(self) -> list[tuple[int, int, Entry]]:
        """What it maps, as (first page, level, entry), by ascending page."""
        found = [(page << 9 * (level - 1), level, e) for (level, page), e in self.tables.items() if e.is_leaf]
        return sorted(found, key=_first)

    def table_ppns(self) -> list[int]:
        """The pages that its tables lie in."""
        entries = {where: entry for root in self.roots[:1] for where, entry in (root.entries | self.tables).items()}
        return [root.ppn for root in self.roots] + [e.target for (level, _), e in entries.items() if not e.is_leaf]


@dataclass(eq=False)
class Process:
    slot: int
    space: Space
    born: int | None = None  # the number of the fork that made it, if one did


class Kill(NamedTuple):
    """What tables say of a process that was killed."""

    cycles: int
    process: int  # counted from 1
    freed_pages: int
    asked_by: str


class View(NamedTuple):
    """What translates an access: a process through one of its roots."""

    vm: str
    process: Process
    root: int
    bits: int  # of a page number that select an entry of a table
    is_global: bool = False  # its TLB entries are every process's: the kernel's pages, without KPTI

    @property
    def walk_tag(self) -> Tag:
        return self.vm, self.process.slot, self.root

    @property
    def tlb_tag(self) -> Tag | str:
        return self.vm if self.is_global else self.walk_tag


class Spaces:
    """All processes of a VM by slot, None where none lives."""

    def __init__(self, memory: Memory, slots: int, has_kpti: bool, has_kernel: bool) -> None:
        self.memory = memory
        self.levels = memory.levels
        self.bits = 10 if self.levels == 2 else 9  # 1,024 entries in a table of 32-bit guests without PAE
        self.slots: list[Process | None] = [None] * slots
        self.has_kpti = has_kpti
        self.has_kernel = has_kernel
        self.kernel_vpn = 3 << 30 - 12 if self.levels < 4 else 2 ** (9 * self.levels) // 2  # 32 bits: the last GiB
        self.kernel: dict[Place, Entry] = {}  # below the roots
        self.kernel_table = -1  # what the roots' entries lead to
        self.forks = 0
        self.large_at_start = 0
        self.kills: list[Kill] = []
        self.is_empty = False  # the last process has been killed: its root is left
        self.is_off = False  # the VM has been powered off
        self.is_up_at = 0  # when its kernel has last come up

    def living(self) -> list[Process]:
        return [process for process in self.slots if process]

    def oldest_child(self) -> Process | None:
        """Of those that a fork made and that live, the first one made."""
        children = [process for process in self.living() if process.born is not None]
        return min(children, key=lambda child: child.born or 0, default=None)

    def next_after(self, slot: int) -> Process | None:
        """Who lives in the next slot, round all of them; nobody if only that slot's own process does."""
        others = self.slots[slot + 1 :] + self.slots[:slot]
        return next((process for process in others if process), None)

    def user_view(self, process: Process) -> View:
        return View(self.memory.vm.name, process, USER, self.bits)

    def kernel_view(self, process: Process) -> View:
        vm = self.memory.vm.name
        bits = self.bits
        return View(vm, process, KERNEL, bits) if self.has_kpti else View(vm, process, USER, bits, is_global=True)

    def tags_of(self, slot: int) -> list[Tag]:
        """What translations of a process are tagged by, those that are every process's left out."""
        return [(self.memory.vm.name, slot, root) for root in ((USER, KERNEL) if self.has_kpti else (USER,))]

    def map_kernel(self, use: Use) -> int:
        """Maps the kernel's pages, ascending, before there is any root; returns how many tables that took."""
        if not self.has_kernel:
            return 0
        self.kernel_table = self._take("table", use)
        tables = 1
        for ppn in range(self.memory.vm.kernel_pages):
            vpn = self.kernel_vpn + ppn
            for level in range(self.levels - 1, 1, -1):
                if self.key(level, vpn) not in self.kernel:
                    self.kernel[self.key(level, vpn)] = Entry(self._take("table", use))
                    tables += 1
            self.kernel[self.key(1, vpn)] = Entry(ppn, is_leaf=True)
        return tables

    def new_space(self, use: Use) -> Space:
        """Roots and nothing below; under KPTI the user's, which has no way to the kernel, comes first."""
        if self.levels == 0:
            return Space([])
        ways = [None, Entry(self.kernel_table)] if self.has_kpti else [Entry(self.kernel_table)]
        space = Space([Root(self._take("table", use), way if self.has_kernel else None) for way in ways])
        for root in space.roots:
            if root.to_kernel:
                use.write(root.ppn, self.levels, self.kernel_vpn, root.to_kernel)
        return space

    def entry(self, view: View, level: int, vpn: int) -> Entry | None:
        """The entry of `level` on the path to a page, as a walk from the view's root finds it."""
        root = view.process.space.roots[view.root]
        if self.is_of_kernel(vpn):
            return root.to_kernel if level == self.levels else self.kernel.get(self.key(level, vpn))
        entry = (root.entries if level == self.levels else view.process.space.tables).get(self.key(level, vpn))
        return None if entry is None or entry.slot is not None else entry

    def leaf(self, view: View, vpn: int) -> Entry | None:
        """The entry of whatever size that maps a page."""
        entries = (self.entry(view, level, vpn) for level in range(1, self.levels))
        return next((entry for entry in entries if entry and entry.is_leaf), None)

    def table_ppn(self, view: View, level: int, vpn: int) -> int:
        """The page that holds the entry of `level` on the path to a page."""
        if level == self.levels:
            return view.process.space.roots[view.root].ppn
        above = self.entry(view, level + 1, vpn)
        assert above is not None
        return above.target

    def key(self, level: int, vpn: int) -> Place:
        """Where the entry of `level` on the path to a page is found."""
        return key(level, vpn, self.bits)

    def pointers(self, process: Process, is_kernel: bool) -> dict[int, int]:
        """What PAE's registers hold after a load of CR3: the page of the table for each GiB that has one."""
        if self.levels != 3:
            return {}
        root = process.space.roots[KERNEL if is_kernel and self.has_kpti else USER]
        own = {number: entry.target for (_, number), entry in root.entries.items()}
        return own | ({3: root.to_kernel.target} if root.to_kernel else {})

    def is_of_kernel(self, vpn: int) -> bool:
        return self.has_kernel and self.key(self.levels, vpn) == self.key(self.levels, self.kernel_vpn)

    def make_tables(self, space: Space, vpn: int, use: Use, leaf: int = 1) -> int:
        """Makes the tables that are missing above a page's leaf, top down; returns how many."""
        assert 0 <= vpn < 1 << self.bits * self.levels and not self.is_of_kernel(vpn)
        tables = 0
        for level in range(self.levels, leaf, -1):
            if self.key(level, vpn) not in self._holders(space, level, vpn)[0][1]:
                self._set(space, level, vpn, Entry(self._take("table", use)), use)
                tables += 1
        return tables

    def map_page(self, space: Space, vpn: int, use: Use) -> int:
        """Maps an absent page to a new one, after the tables that are missing; returns how many of these it made."""
        assert not self.is_mapped(space, vpn)
        if vpn in self.memory.shared.known:
            return self._map_shared(space, vpn, use)
        tables = 0
        for level in range(self.memory.guest_size, 1, -1):
            tables += self.make_tables(space, vpn, use, level)
            first = None if self.key(level, vpn) in space.tables else self.memory.take_ppns(page_count(level))
            if first is not None:
                for ppn in range(first, first + page_count(level)):
                    use.prepare(ppn, "data")
                self._set(space, level, vpn, Entry(first, is_leaf=True), use)
                return tables
        tables += self.make_tables(space, vpn, use)
        self._set(space, 1, vpn, Entry(self._take("data", use), is_leaf=True), use)
        return tables

    def _map_shared(self, space: Space, vpn: int, use: Use) -> int:
        """The same for a page of shared memory, which may be there already, or in a slot."""
        memory, shared = self.memory, self.memory.shared
        tables = self.make_tables(space, vpn, use)
        if vpn in shared.slots:
            shared.hold(vpn, memory.take_ppn("data"))
            use.read(shared.held[vpn], shared.slots.pop(vpn))
        elif vpn not in shared.held:
            shared.hold(vpn, self._take("data", use))
        self._set(space, 1, vpn, Entry(shared.held[vpn], is_leaf=True), use)
        memory.gain_sharer(shared.held[vpn])
        return tables

    def is_mapped(self, space: Space, vpn: int) -> bool:
        return self.level_of(space, vpn) is not None

    def mapping(self, view: View, vpn: int) -> int:
        """The level of the entry that maps a page."""
        entries = {level: self.entry(view, level, vpn) for level in range(1, self.levels)}
        return next(level for level, entry in entries.items() if entry and entry.is_leaf)

    def free_tables(self, space: Space, use: Use) -> None:
        """Frees the tables below the roots, bottom level first."""
        for level in range(2, self.levels + 1):
            entries = space.roots[USER].entries if level == self.levels else space.tables
            for where in sorted(where for where in entries if where[0] == level):
                vpn, target = where[1] << self.bits * (level - 1), entries[where].target
                for table, holder in self._holders(space, level, vpn):
                    del holder[where]
                    use.write(table, level, vpn, None)
                use.free_table(target)

    def leaf_table(self, space: Space, vpn: int, level: int = 1) -> int:
        """The page that holds the entry of `level` of a page for which there are tables."""
        return self._holders(space, level, vpn)[0][0]

    def level_of(self, space: Space, vpn: int) -> int | None:
        """The level of the entry that maps a page, if one does."""
        for level in range(1, self.levels):
            entry = space.tables.get(self.key(level, vpn))
            if entry and entry.is_leaf:
                return level
        return None

    def split(self, space: Space, vpn: int, use: Use) -> None:
        """Puts 512 entries in place of the large one that maps a page: like it, each for its part of the page."""
        level = self.level_of(space, vpn)
        assert level is not None and level > 1
        whole = space.tables[self.key(level, vpn)]
        ppn = self._take("split", use)
        first = vpn - vpn % page_count(level)
        for number in range(512):
            page = first + number * page_count(level - 1)
            part = replace(whole, target=whole.target + number * page_count(level - 1))
            space.tables[self.key(level - 1, page)] = part
            use.write(ppn, level - 1, page, part)
        self._set(space, level, vpn, Entry(ppn), use)

    def table_pages(self) -> int:
        """How many pages hold tables now."""
        own = sum(len(process.space.table_ppns()) for process in self.living())
        return own + (1 + sum(level > 1 for level, _ in self.kernel) if self.has_kernel else 0)

    def count_large(self) -> int:
        """How many entries of its processes map a large page."""
        return sum(level > 1 for process in self.living() for _, level, _ in process.space.mappings())

    def large_pages(self) -> dict[str, int]:
        """The large pages that processes map now, and that they mapped at the start, where any may be large."""
        if not self.memory.may_be_large:
            return {}
        return {"guest_large": self.count_large(), "guest_large_at_start": self.large_at_start}

    def found_from_roots(self) -> Iterator[tuple[tuple[int, int], dict[Place, Entry]]]:
        """What can be reached from each root, by (slot, index of the root)."""
        for process in self.living():
            for number, root in enumerate(process.space.roots):
                way = self.key(self.levels, self.kernel_vpn)
                kernel = {way: root.to_kernel} | self.kernel if root.to_kernel else {}
                yield (process.slot, number), root.entries | process.space.tables | kernel

    def _holders(self, space: Space, level: int, vpn: int) -> list[tuple[int, dict[Place, Entry]]]:
        """Where an entry of `level` stands, as (page of the table, entries): one of a root in all roots."""
        if level == self.levels:
            return [(root.ppn, root.entries) for root in space.roots]
        above = space.roots[USER].entries if level + 1 == self.levels else space.tables
        return [(above[self.key(level + 1, vpn)].target, space.tables)]

    def _set(self, space: Space, level: int, vpn: int, entry: Entry, use: Use) -> None:
        for table, entries in self._holders(space, level, vpn):
            entries[self.key(level, vpn)] = replace(entry)  # each root has its own
            use.write(table, level, vpn, entries[self.key(level, vpn)])

    def _take(self, kind: str, use: Use) -> int:
        ppn = self.memory.take_ppn("data" if kind == "data" else "table")
        use.prepare(ppn, kind)
        return ppn


def _first(found: tuple[int, int, Entry]) -> int:
    return found[0]
