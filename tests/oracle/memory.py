"""Machine frames, a VM's pmap and EPT, and its guest page tables: dictionaries of entries.

An entry is found by (level, address >> 9·(level - 1)), level 1 being the leaf. A table page is nothing but the
target of the entry above it. What a root holds needs no key: there is one root. A flat host table has level 1 alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vmcfg.scenario.spec import Vm


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


def key(level: int, page: int) -> tuple[int, int]:
    """Where the entry of `level` on the path to `page` is found."""
    return level, prefix(level, page)


def prefix(level: int, page: int) -> int:
    """The part of a page number that selects an entry of `level`: each level below takes 9 bits away."""
    return page >> 9 * (level - 1)


class Frames:
    """The host's frames; `kind[mpn]` is `private` or `overhead` for those taken."""

    def __init__(self, pages: int) -> None:
        self.total = pages
        self.free = list(reversed(range(pages)))  # a stack: MPN 0 is on top, and what is freed goes on top
        self.kind: dict[int, str] = {}

    def take(self, kind: str) -> int:
        if not self.free:
            raise OutOfFramesError
        mpn = self.free.pop()
        self.kind[mpn] = kind
        return mpn

    def summary(self) -> dict[str, int]:
        """Frames by kind; nothing is shared or reserved in this scope."""
        kinds = list(self.kind.values())
        return {
            "total": self.total,
            "free": len(self.free),
            "private": kinds.count("private"),
            "shared": 0,
            "overhead": kinds.count("overhead"),
            "reserved": 0,
        }


@dataclass
class Memory:
    """What one VM and its only process own."""

    vm: Vm
    frames: Frames
    host_levels: int  # 0: one dimension only
    pmap: dict[int, int] = field(default_factory=dict)
    ept: dict[tuple[int, int], Entry] = field(default_factory=dict)
    guest: dict[tuple[int, int], Entry] = field(default_factory=dict)
    table_ppns: list[int] = field(default_factory=list)  # in the order they were made, the root first

    def __post_init__(self) -> None:
        self.free_ppns = list(reversed(range(self.vm.kernel_pages, self.vm.memory_pages)))
        self.levels = self.vm.table_levels
        self.is_nested = self.host_levels > 0
        if self.is_nested:
            self.ept_root = self.frames.take("overhead")
        if self.host_levels == 1:
            for _ in range(512, self.vm.memory_pages, 512):
                self.frames.take("overhead")

    def take_ppn(self) -> int:
        """The guest's next free page."""
        if not self.free_ppns:
            raise OutOfGuestPagesError(self.vm.name)
        return self.free_ppns.pop()

    def back(self, ppn: int) -> int:
        """Gives `ppn` a frame, after the EPT tables that are missing above it; returns how many those were."""
        assert ppn not in self.pmap and 0 <= ppn < self.vm.memory_pages
        tables = 0
        if self.is_nested:
            for level in range(self.host_levels, 1, -1):
                if key(level, ppn) not in self.ept:
                    self.ept[key(level, ppn)] = Entry(self.frames.take("overhead"))
                    tables += 1
        self.pmap[ppn] = self.frames.take("private")
        if self.is_nested:
            self.ept[key(1, ppn)] = Entry(self.pmap[ppn])
        return tables

    def back_at_no_cost(self, ppn: int, _kind: str = "") -> None:
        """Work before t = 0."""
        if ppn not in self.pmap:
            self.back(ppn)

    def map_page(self, vpn: int, use: Callable[[int, str], None]) -> int:
        """Maps `vpn` to a new page, after the guest tables that are missing above it; returns how many those were.

        `use(ppn, "table" | "data")` is called for each page taken, before the entry that points to it is written.
        """
        assert 0 <= vpn < 1 << 9 * self.levels
        tables = 0
        for level in range(self.levels, 1, -1):
            if key(level, vpn) not in self.guest:
                self.table_ppns.append(self._use_new_page(level, vpn, "table", use))
                tables += 1
        self._use_new_page(1, vpn, "data", use)
        return tables

    def _use_new_page(self, level: int, vpn: int, kind: str, use: Callable[[int, str], None]) -> int:
        assert key(level, vpn) not in self.guest
        ppn = self.take_ppn()
        use(ppn, kind)
        self.guest[key(level, vpn)] = Entry(ppn)
        return ppn

    def pages(self) -> dict[str, int]:
        """The VM's pages by state, and by use in the guest."""
        return {
            "configured": self.vm.memory_pages,
            "private": len(self.pmap),
            "unbacked": self.vm.memory_pages - len(self.pmap),
            "guest_free": len(self.free_ppns),
            "guest_tables": len(self.table_ppns),
            "guest_kernel": self.vm.kernel_pages,
        }
