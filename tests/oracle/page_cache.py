"""A guest's page cache: pages of files in dictionaries, by file and page; reads, writes, faults, and write-back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcfg.scenario.spec import GuestEvent, Vm

from .disks import Queue
from .faults import access_past_tlbs, write_leaf
from .flushes import forget_of
from .memory import Entry
from .vcpu import Vcpu

if TYPE_CHECKING:
    from .guest_paging import GuestPager

Block = tuple[int, int]  # (which file of the guest, which of its pages)
PART = "guest_cycles"


@dataclass
class File:
    """Where it lies."""

    name: str
    pages: int
    disk: Queue
    place: int


def lay_files(vm: Vm, disks: list[Queue]) -> list[File]:
    """Each in one piece, behind what lies on its disk already."""
    files = []
    for file in vm.files:
        disk = disks[file.disk]
        files.append(File(file.name, file.pages, disk, disk.ends))
        disk.ends += file.pages
    return files


class PageCache:
    """`dirty_since` says with which of the kernel's looks a page became dirty."""

    def __init__(self, guest: GuestPager, files: list[File]) -> None:
        self.guest = guest
        self.vcpu, self.memory = guest.vcpu, guest.memory
        self.how = guest.vcpu.vm.page_cache
        self.files = files
        self.cached: dict[Block, int] = {}
        self.blocks: dict[int, Block] = {}  # by the guest page that holds them
        self.dirty_since: dict[Block, int] = {}
        self.looks = 0

    def mapped_block(self, vpn: int) -> Block | None:
        """Which page of a file a virtual page stands for, if it does."""
        for region in self.vcpu.workload.regions:
            if region.file and region.base_vpn <= vpn < region.base_vpn + region.pages:
                return self._file(region.file), vpn - region.base_vpn
        return None

    def blocks_of(self, event: GuestEvent, nth: int) -> list[Block]:
        """The pages that a read or write is about: the next ones, round the file."""
        number = self._file(event.file)
        return [(number, (nth * event.pages + i) % self.files[number].pages) for i in range(event.pages)]

    # --- in ---

    def read(self, vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
        for number, block in enumerate(self.blocks_of(event, nth)):
            self.find(vcpu, block, event.pages - number)
            self._use(vcpu, block, "")
        vcpu.charge(PART, event.pages * vcpu.costs["copy_page"])

    def write(self, vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
        """Whole pages, which need not be read for that."""
        for block in self.blocks_of(event, nth):
            if not self._look_up(vcpu, block):
                self._enter(block, self.memory.take_ppn("data"))
            self._use(vcpu, block, "cpu")
            self.note_dirty(block)
        vcpu.charge(PART, event.pages * vcpu.costs["copy_page"])

    def find(self, vcpu: Vcpu, block: Block, keep: int) -> int:
        """The guest page that holds a block, which is read if it is missing; others leave so many pages free."""
        if not self._look_up(vcpu, block):
            self._fetch(vcpu, block, keep)
        return self.cached[block]

    def _look_up(self, vcpu: Vcpu, block: Block) -> bool:
        vcpu.count("cache_lookups")
        vcpu.count("cache_hits" if block in self.cached else "cache_misses")
        return block in self.cached

    def _fetch(self, vcpu: Vcpu, block: Block, keep: int) -> None:
        assert self.how
        number, page = block
        file = self.files[number]
        following = page
        while following < min(page + self.how.read_ahead_pages, file.pages) and (number, following) not in self.cached:
            if following > page and self.memory.free_pages <= keep + self.guest.least // 2:
                break
            ppn = self.memory.take_ppn("data")
            access_past_tlbs(vcpu, ppn, "data", "device")
            self.guest.candidates.remember(ppn, self.guest.gone.get((number, following)))
            self._enter((number, following), ppn)
            following += 1
        now = max(vcpu.now, vcpu.waits_until)
        vcpu.wait_until(file.disk.ask(now, file.place + page, following - page))
        vcpu.count("file_pages_read", following - page)
        vcpu.count("file_read_ahead", following - page - 1)

    def _enter(self, block: Block, ppn: int) -> None:
        self.cached[block] = ppn
        self.blocks[ppn] = block
        self.guest.gone.pop(block, None)
        self.guest.candidates.enter_unaccessed(ppn)

    def _use(self, vcpu: Vcpu, block: Block, overwritten_by: str) -> None:
        ppn = self.cached[block]
        access_past_tlbs(vcpu, ppn, "data", overwritten_by)
        self.guest.candidates.mark(ppn)

    # --- mapped ---

    def holds(self, ppn: int) -> bool:
        return ppn in self.blocks

    def fault(self, vcpu: Vcpu, block: Block) -> None:
        """Counts what kind of fault it is going to be."""
        is_major = block not in self.cached
        vcpu.count("file_faults")
        vcpu.count("file_major_faults", int(is_major))
        vcpu.count("major_faults", int(is_major))

    def harvest(self, leaf: Entry) -> None:
        """A leaf is going to map a page no more: that it was dirty is known to the kernel from now on."""
        if leaf.dirty and leaf.slot is None and leaf.target in self.blocks:
            self.note_dirty(self.blocks[leaf.target])

    def note_dirty(self, block: Block) -> None:
        self.dirty_since.setdefault(block, self.looks + 1)

    # --- out ---

    def drop(self, vcpu: Vcpu, ppn: int) -> Block | None:
        """Takes a page that nobody maps out of the cache; returns its block if it must be written."""
        block = self.blocks.pop(ppn)
        del self.cached[block]
        vcpu.count("cache_drops")
        return None if self.dirty_since.pop(block, None) is None else block

    def write_back(self) -> None:
        """A turn: what stores have changed is dirty from now on, and what has been so for long is written."""
        assert self.how
        waits = self.vcpu.waits_until
        for ppn, block in self.blocks.items():
            if any(leaf.dirty for _, _, leaf in self.guest.leaves_of(ppn)):
                self.note_dirty(block)
        self.looks += 1
        turns = -(-self.how.flush_after_ns // self.how.flush_every_ns)
        for since in sorted({since for since in self.dirty_since.values() if since <= self.looks - turns}):
            self._write(sorted(block for block, then in self.dirty_since.items() if then == since))
        self.vcpu.waits_until = waits

    def _write(self, blocks: list[Block]) -> None:
        """A request for each row of neighbours, when a page that is ready lies elsewhere."""
        row: list[Block] = []
        for number, page in blocks:
            if row and row[-1] != (number, page - 1):
                self._ask(row)
                row = []
            row.append((number, page))
            self._clean(self.cached[number, page])
            access_past_tlbs(self.vcpu, self.cached[number, page], "data", "")
            del self.dirty_since[number, page]
        self._ask(row)

    def _clean(self, ppn: int) -> None:
        for process, vpn, leaf in self.guest.leaves_of(ppn):
            if leaf.dirty:
                leaf.dirty = False
                write_leaf(self.vcpu, process.space, vpn, PART)
                forget_of(self.vcpu, process, vpn)
                if self.vcpu.shadow:
                    self.vcpu.shadow.entry_settled(self.guest.spaces.leaf_table(process.space, vpn), vpn)

    def _ask(self, row: list[Block]) -> None:
        self.ask_to_write(self.vcpu, row)

    def ask_to_write(self, vcpu: Vcpu, row: list[Block]) -> int:
        """A request for neighbours; returns when it is done."""
        if not row:
            return 0
        file = self.files[row[0][0]]
        vcpu.count("file_pages_written", len(row))
        return file.disk.ask(max(vcpu.core.clock, vcpu.waits_until), file.place + row[0][1], len(row))

    def _file(self, name: str) -> int:
        return next(number for number, file in enumerate(self.files) if file.name == name)
