"""Machine frames, a VM's pages, its pmap and EPT: dictionaries of entries.

An entry is found by (level, address >> 9·(level - 1)), level 1 being the leaf. A table page is nothing but the
target of the entry above it. A flat host table has level 1 alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vmcfg.scenario.spec import Vm

from .shared_memory import SharedMemory

if TYPE_CHECKING:
    from .candidates import Candidates
    from .compression import CompressionCache
    from .guest_paging import GuestPager
    from .host_paging import HostPager

Place = tuple[int, int]  # (level, page number >> 9·(level - 1))


class OutOfFramesError(Exception):
    """The host has no free frame; the scenarios given to the oracle must not let it come to that."""


class OutOfGuestPagesError(Exception):
    """The guest has no free page, and no swap either."""


@dataclass
class Entry:
    """One present entry of a guest table (`target` is a PPN) or of the EPT (`target` is an MPN)."""

    target: int
    accessed: bool = False
    dirty: bool = False
    is_leaf: bool = False  # maps a page, and leads to no table
    writable: bool = True  # W; only leaves of guest tables ever lack it
    slot: int | None = None  # of the guest's swap area: the page is there, and the entry not present


def key(level: int, page: int, bits: int = 9) -> Place:
    """Where the entry of `level` on the path to `page` is found."""
    return level, prefix(level, page, bits)


def prefix(level: int, page: int, bits: int = 9) -> int:
    """The part of a page number that selects an entry of `level`: each level below takes `bits` away."""
    return page >> bits * (level - 1)


def page_count(level: int) -> int:
    """How many pages an entry of `level` covers: 512 pages of 4 KiB are 2 MiB, 512 of those 1 GiB."""
    return 512 ** (level - 1)


class Frames:
    """The host's frames; `kind[mpn]` is `private` or `overhead` for those taken."""

    def __init__(self, pages: int) -> None:
        self.total = pages
        self.unused = 0  # the first frame that nobody has had yet
        self.single: list[int] = []  # free ones before it, the next to be taken last
        self.blocks: list[int] = []  # free aligned blocks of 512 before it, likewise
        self.kind: dict[int, str] = {}

    @property
    def free(self) -> int:
        return self.total - len(self.kind)

    def take(self, kind: str) -> int:
        if not self.free:
            raise OutOfFramesError
        if not self.single and self.blocks:
            block = self.blocks.pop()
            self.single = [block + n for n in reversed(range(512))]
        if self.single:
            mpn = self.single.pop()
        else:
            mpn = self.unused
            self.unused += 1
        self.kind[mpn] = kind
        return mpn

    def give_back(self, mpn: int) -> None:
        """To the free frames, to be used next."""
        del self.kind[mpn]
        self.single.append(mpn)

    def take_block(self, size: int) -> int | None:
        """The first of `size` neighbouring frames, at a multiple of it; None if there are none such."""
        if size == 512 and self.blocks:
            first = self.blocks.pop()
        else:
            first = -(-self.unused // size) * size
            if first + size > self.total:
                return None
            self._pass_over(first)
            self.unused = first + size
        self.kind |= dict.fromkeys(range(first, first + size), "private")
        return first

    def _pass_over(self, end: int) -> None:
        """What lies before a block stays free: whole blocks of 512 as such, the lowest to be taken first."""
        skipped = range(self.unused, end)
        whole = [mpn for mpn in skipped if mpn % 512 == 0]
        rest = [mpn for mpn in skipped if not whole or mpn < whole[0]]
        self.blocks += reversed(whole)
        self.single += reversed(rest)

    def summary(self) -> dict[str, int]:
        """Frames by kind; nothing is shared in this scope."""
        kinds = list(self.kind.values())
        return {
            "total": self.total,
            "free": self.free,
            "private": kinds.count("private"),
            "shared": 0,
            "overhead": kinds.count("overhead"),
            "reserved": kinds.count("reserved"),
        }


@dataclass
class Memory:
    """The guest-physical memory of one VM: pages, frames, the EPT.

    `host_sizes`: the levels of the EPT entries that map data and guest tables: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
    """

    vm: Vm
    frames: Frames
    host_levels: int  # 0: one dimension only
    is_shadowed: bool = False  # then, too, the host's pages have sizes of their own, and stand in `ept`, the large ones
    host_sizes: dict[str, int] = field(default_factory=lambda: {"data": 1, "table": 1})
    reserve: int = 0  # frames that large pages leave free
    guest_size: int = 1  # the level of the guest's entries that map its data, likewise
    may_be_large: bool = False  # any page on the host
    pmap: dict[int, int] = field(default_factory=dict)
    ept: dict[Place, Entry] = field(default_factory=dict)
    sharers: dict[int, int] = field(default_factory=dict)  # of a data page, beyond the first mapping; of shared: all
    shared: SharedMemory = field(default_factory=SharedMemory)
    pager: HostPager | None = None  # who may take its frames, and what a guest does about its own; below, for them:
    guest: GuestPager | None = None
    number: int = 0  # of the VM on its host
    candidates: Candidates = field(init=False)  # where the host pages
    cache: CompressionCache | None = None  # where it compresses
    tables: set[int] = field(default_factory=set)  # pages that hold tables
    accessed: set[int] = field(default_factory=set)  # pages that walks of shadow tables have come to
    swapped: dict[int, int] = field(default_factory=dict)  # pages in the host's swap area, by their slots
    ballooned: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        own = range(self.vm.kernel_pages, self.vm.memory_pages) if self.vm.table_levels else ()
        self.free_ppns = list(reversed(own))  # without paging nobody hands pages out
        self.freed_ppns: list[int] = []  # a stack; and those passed over to get to a large page
        self.freed_blocks: list[int] = []  # a stack of whole pages of 2 MiB that were freed, by their first
        self.range_ppns: list[int] = []  # free ones of the range that tables have for themselves
        self.levels = self.vm.table_levels
        self.is_nested = self.host_levels > 0

    def power_on(self) -> None:
        """Takes the frames that stand before anything else does."""
        if self.is_nested:
            self.ept_root = self.frames.take("overhead")
        if self.host_levels == 1:
            for _ in range(512, self.vm.memory_pages, 512):
                self.frames.take("overhead")

    def take_ppn(self, kind: str) -> int:
        """The guest's next free page for `data` or a `table`: from the kind's own place, else from the other's.

        What was freed is nobody's own, and is used before pages that nobody has had.
        """
        if kind == "table" and not self.range_ppns and len(set(self.host_sizes.values())) > 1:
            self._set_range_apart()
        if not (kind == "table" and self.range_ppns) and not self.freed_ppns and self.freed_blocks:
            block = self.freed_blocks.pop()
            self.freed_ppns = [block + n for n in reversed(range(512))]
        own = [self.freed_ppns, self.free_ppns]
        for place in [self.range_ppns, *own] if kind == "table" else [*own, self.range_ppns]:
            if place:
                return self._note_table(place.pop()) if kind == "table" else place.pop()
        raise OutOfGuestPagesError(self.vm.name)

    def _note_table(self, ppn: int) -> int:
        """The host does not page out what holds a table."""
        if self.pager and self.pager.how and ppn in self.pmap and self.is_paged(ppn):
            self.candidates.leave(ppn)
        self.tables.add(ppn)
        return ppn

    def note_no_table(self, ppn: int) -> None:
        """It holds one no more."""
        self.tables.discard(ppn)
        if ppn in self.pmap:
            self.note_backed(ppn)

    def is_paged(self, ppn: int) -> bool:
        """Whether the host may take its frame."""
        may_page = self.pager is not None and self.pager.how is not None
        return may_page and ppn >= self.vm.kernel_pages and ppn not in self.tables

    def note_backed(self, ppn: int) -> None:
        """It has got a frame."""
        if self.is_paged(ppn):
            self.candidates.enter(ppn)

    def is_compressed(self, ppn: int) -> bool:
        return self.cache is not None and ppn in self.cache.cache.entries

    def where_is(self, ppn: int) -> str:
        """Why a page without a frame exits, if not because it never had one."""
        if self.is_compressed(ppn):
            return "decompress"
        return "swap_in" if ppn in self.swapped else "balloon_pop" if ppn in self.ballooned else ""

    @property
    def free_pages(self) -> int:
        """Free pages of the guest."""
        return len(self.free_ppns) + len(self.range_ppns) + len(self.freed_ppns) + 512 * len(self.freed_blocks)

    def take_ppns(self, size: int) -> int | None:
        """The first of `size` pages, freed as one or never used, at a multiple of it; None if there are none such."""
        if size == 512 and self.freed_blocks:
            return self.freed_blocks.pop()
        if not self.free_ppns:
            return None
        first = -(-self.free_ppns[-1] // size) * size
        if first + size > self.free_ppns[0] + 1:
            return None
        self.freed_ppns += [ppn for ppn in self.free_ppns if ppn < first]
        self.free_ppns = [ppn for ppn in self.free_ppns if ppn >= first + size]
        return first

    def _set_range_apart(self) -> None:
        """Gives tables the highest free block of the larger size, with what is left of the memory above it."""
        if not self.free_ppns:
            return
        size = page_count(max(self.host_sizes.values()))
        end = self.free_ppns[0] + 1
        first = end - end % size - size
        if first >= self.free_ppns[-1]:
            self.range_ppns = [ppn for ppn in self.free_ppns if ppn >= first]
            self.free_ppns = [ppn for ppn in self.free_ppns if ppn < first]

    def back(self, ppn: int, kind: str = "data") -> tuple[int, int]:
        """Gives `ppn` a frame, or its block one large page; returns (pages backed, EPT tables made for it)."""
        assert ppn not in self.pmap and 0 <= ppn < self.vm.memory_pages
        for level in range(self.host_sizes[kind], 1, -1):
            first = self._take_large(ppn, page_count(level))
            if first is not None:
                tables = self._make_ept_tables(ppn, level)
                start = ppn - ppn % page_count(level)
                self.pmap |= {start + n: first + n for n in range(page_count(level))}
                self.ept[key(level, ppn)] = Entry(first, is_leaf=True)
                return page_count(level), tables
        tables = self._make_ept_tables(ppn, 1) if self.is_nested else 0
        self.pmap[ppn] = self.frames.take("private")
        if self.is_nested:
            self.ept[key(1, ppn)] = Entry(self.pmap[ppn], is_leaf=True)
        self.note_backed(ppn)
        return 1, tables

    def _take_large(self, ppn: int, size: int) -> int | None:
        """A block of frames for the block of guest pages around `ppn`, if all of these lack frames and exist."""
        block = range(ppn - ppn % size, ppn - ppn % size + size)
        if block[-1] >= self.vm.memory_pages or self.frames.free < size + self.reserve:
            return None
        if any(other in self.pmap for other in block):
            return None
        return self.frames.take_block(size)

    def _make_ept_tables(self, ppn: int, leaf: int) -> int:
        tables = 0
        for level in range(self.host_levels, leaf, -1):
            if key(level, ppn) not in self.ept:
                self.ept[key(level, ppn)] = Entry(self.frames.take("overhead"))
                tables += 1
        return tables

    def back_at_no_cost(self, ppn: int, kind: str) -> None:
        """Work before t = 0."""
        if ppn not in self.pmap:
            self.back(ppn, kind)

    def free_ppn(self, ppn: int) -> None:
        """To the free pages, to be used next; its frame stays."""
        assert ppn not in self.sharers
        self.freed_ppns.append(ppn)

    def release(self, first: int, size: int = 1) -> None:
        """A mapping of a data page is gone: other sharers are left, or the page is free, whole if it is large."""
        if size > 1 and not self.is_shared(first, size):
            self.freed_blocks += reversed(range(first, first + size, 512))
            return
        for ppn in range(first, first + size):
            if ppn in self.sharers:
                self.lose_sharer(ppn)
            else:
                self.free_ppn(ppn)

    def is_of_file(self, ppn: int) -> bool:
        """Whether it is a page of the guest's page cache, or of shared memory: all see what is written."""
        return ppn in self.shared.by_ppn or (self.guest is not None and self.guest.cache.holds(ppn))

    def is_shared(self, first: int, size: int) -> bool:
        """Whether anybody else maps any part of a page."""
        return any(ppn in self.sharers for ppn in range(first, first + size))

    def gain_sharer(self, first: int, size: int = 1) -> None:
        for ppn in range(first, first + size):
            self.sharers[ppn] = self.sharers.get(ppn, 0) + 1

    def lose_sharer(self, ppn: int) -> None:
        self.sharers[ppn] -= 1
        if self.sharers[ppn] == 0:
            del self.sharers[ppn]

    def host_size(self, ppn: int) -> int:
        """The level of the host's page behind a backed page; in one dimension nothing is smaller than it need be."""
        if not self.is_nested and not self.is_shadowed:
            return 3
        entries = {level: self.ept.get(key(level, ppn)) for level in (1, 2, 3)}
        return next((level for level, entry in entries.items() if entry and entry.is_leaf), 1)

    def pages(self, guest_tables: int) -> dict[str, int]:
        """The VM's pages by state, and by use in the guest."""
        compressed = self.cache.pages() if self.cache else {}
        away = len(self.swapped) + len(self.ballooned) + compressed.get("compressed", 0)
        return compressed | {
            "configured": self.vm.memory_pages,
            "private": len(self.pmap),
            "unbacked": self.vm.memory_pages - len(self.pmap) - away,
            "ballooned": len(self.ballooned),
            "swapped": len(self.swapped),
            "balloon": len(self.guest.driver.pages) if self.guest else 0,
            "guest_swapped": len(self.guest.area.held) if self.guest and self.guest.area else 0,
            "guest_cached": len(self.guest.cache.cached) if self.guest else 0,
            "guest_free": self.free_pages,
            "guest_tables": guest_tables,
            "guest_kernel": self.vm.kernel_pages,
        }
