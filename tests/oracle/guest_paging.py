"""A guest that takes memory back from its own processes: victims, slots, pages that come back."""

from __future__ import annotations

from .balloon import NO_FRAMES, NOTHING_LEFT, Driver
from .candidates import Candidates
from .disks import Area, Queue
from .faults import access_past_tlbs, write_leaf
from .flushes import forget_of
from .host_paging import ENOUGH, WAITS, HostPager
from .killing import WORKLOAD, kill
from .memory import Entry, OutOfGuestPagesError, key
from .page_cache import PageCache
from .spaces import Process, Space, View
from .vcpu import Vcpu

BATCH = 32
PART = "guest_cycles"
SWAP = -1  # in place of a file: its swap area
Place = tuple[int, int]  # (SWAP or which file, slot or page)


class GuestMarks:
    """A of the one leaf by which a page is found."""

    def __init__(self, guest: GuestPager) -> None:
        self.guest = guest

    def is_marked(self, page: int) -> bool:
        return page in self.guest.where and self.guest.leaf_of(page).accessed

    def unmark(self, page: int) -> None:
        if page in self.guest.where:
            self.guest.leaf_of(page).accessed = False


class GuestPager:
    """What one guest does, by its vCPUs; its balloon too, which a guest without a swap area may have."""

    def __init__(self, vcpu: Vcpu, host: HostPager, seed: int, disks: list[Queue]) -> None:
        self.vcpu = vcpu  # its first
        self.host = host
        self.memory, self.spaces = vcpu.memory, vcpu.spaces
        self.how = vcpu.vm.reclaim
        self.least = max(vcpu.vm.table_levels, self.how.keep_free_pages if self.how else 0)
        self.wanted = 0
        self.where: dict[int, tuple[Process, int]] = {}
        self.gone: dict[Place, int] = {}  # of what is out: its policy's age when it went
        self.driver = Driver(self)
        self.cache = PageCache(self, [])
        self.area: Area | None = None
        self.memory.guest = self
        if self.how:
            swap = self.how.swap
            self.area = Area(disks[swap.disk], swap.pages) if swap else Area(disks[0], 0)
            stream = f"{vcpu.vm.name}/victims"
            self.candidates = Candidates(self.how.victim, seed, stream, GuestMarks(self), self.how.is_told)

    def note_access(self, vcpu: Vcpu, view: View, vpn: int) -> None:
        """A program accesses a page: a policy that is told of every access hears of it, if the page is mapped."""
        if self.how and self.how.is_told:
            leaf = self.spaces.leaf(view, vpn)
            if leaf:
                self.candidates.refer(leaf.target)

    def leaf_of(self, ppn: int):  # type: ignore[no-untyped-def]
        process, vpn = self.where[ppn]
        return process.space.tables[key(1, vpn)]

    def note_mapped(self, space: Space, vpn: int, ppn: int) -> None:
        """A page has been mapped, by this leaf."""
        is_known = ppn in self.memory.shared.by_ppn and ppn in self.where
        if self.how and not is_known:
            self.where[ppn] = next(process for process in self.spaces.living() if process.space is space), vpn
            if self.area and self.area.slots and ppn not in self.candidates.pages:
                self.candidates.enter(ppn)

    def note_file_mapped(self, space: Space, vpn: int, ppn: int) -> None:
        """A page of the cache has been mapped, by this leaf too."""
        if ppn in self.where:
            self.memory.gain_sharer(ppn)
        else:
            self.where[ppn] = next(process for process in self.spaces.living() if process.space is space), vpn

    def note_unmapped(self, space: Space, vpn: int, ppn: int, is_shared: bool) -> None:
        """One mapping of a page is gone; others, of the same page of other processes, are left if it was shared."""
        if not self.how:
            return
        if is_shared:
            if self.where[ppn][0].space is space:
                del self.where[ppn]
                for process in self._mappers(vpn, ppn)[:1]:  # nobody, of shared memory
                    self.where[ppn] = process, vpn
        else:
            del self.where[ppn]
            if not self.cache.holds(ppn):
                self.candidates.leave(ppn)

    def leaves_of(self, ppn: int) -> list[tuple[Process, int, Entry]]:
        """All that map a page, with whose they are, at which virtual page."""
        if ppn not in self.where:
            return []
        vpn = self.where[ppn][1]
        return [(process, vpn, process.space.tables[key(1, vpn)]) for process in self._mappers(vpn, ppn)]

    def _mappers(self, vpn: int, ppn: int) -> list[Process]:
        found = []
        for process in self.spaces.living():
            leaf = process.space.tables.get(key(1, vpn))
            if leaf and leaf.slot is None and leaf.target == ppn:
                found.append(process)
        return found

    # --- out ---

    def lacks(self, pages: int) -> bool:
        """Whether the guest must reclaim, or cannot go on, before it takes so many pages."""
        self.wanted = pages
        free = self.memory.free_pages
        if pages > free:
            return True
        if pages <= 0 or not self.how or not (self.cache.cached or self._may_page_out()):
            return False
        return free + len(self.area.flights) < self.least  # type: ignore[union-attr]

    def decide(self, vcpu: Vcpu) -> None:
        """Pages are short: some are paged out, for which the host may have to free frames first; or a process ends."""
        made = self.make_free(vcpu) if self.how else NOTHING_LEFT
        if made == NO_FRAMES:
            self.host.decide(vcpu)
        elif made == NOTHING_LEFT and not kill(vcpu, WORKLOAD):
            raise OutOfGuestPagesError(vcpu.vm.name)

    def make_free(self, vcpu: Vcpu) -> str:
        assert self.area
        self.collect(vcpu.core.clock)
        wanted = max(self.least, self.wanted)
        while self.memory.free_pages + len(self.area.flights) < wanted + BATCH:
            if self.host.frames.free < self.host.reserve + BATCH:
                self.host.wanted = self.host.reserve + BATCH
                return NO_FRAMES
            if not self._page_out(vcpu):
                break
        self.collect(vcpu.core.clock)
        missing = self.wanted - self.memory.free_pages
        if missing <= 0:
            return ENOUGH
        if missing > len(self.area.flights):
            return NOTHING_LEFT
        vcpu.wait_until(self.area.flights[missing - 1][1])
        return WAITS

    def collect(self, now: int) -> None:
        if self.area:
            for ppn in self.area.landed(now):
                self.memory.free_ppn(ppn)

    def _may_page_out(self) -> bool:
        assert self.area
        return not self.area.is_full and bool(self.candidates.pages)

    def _page_out(self, vcpu: Vcpu) -> int:
        """A batch: what is clean in a file is free at once, all else is written, in rows of neighbours."""
        row: list[tuple[int, Place]] = []
        count = 0
        while count < BATCH and (self.host.frames.free or not self.host.how):
            ppn = self._choose()
            if ppn is None:
                break
            count += 1
            place = self._let_go(vcpu, ppn)
            if place is None:
                continue
            if row and row[-1][1] != (place[0], place[1] - 1):  # only a page that is ready ends the row before it
                self._write(vcpu, row)
                row = []
            row.append((ppn, place))
        self._write(vcpu, row)
        return count

    def _choose(self) -> int | None:
        """With its leaf at hand as long as the policy looks at it; without a slot only pages of files."""
        assert self.area
        if not self.area.is_full:
            return self.candidates.victim()
        if self.cache.cached and self.candidates.is_ranked:
            return self.candidates.victim_among(self.cache.holds)
        for _ in range(len(self.candidates.pages) if self.cache.cached else 0):
            ppn = self.candidates.victim()
            if ppn is None or self.cache.holds(ppn):
                return ppn
            self.candidates.enter(ppn)
        return None

    def _let_go(self, vcpu: Vcpu, ppn: int) -> Place | None:
        """Unmaps a page; returns where it must be written before it is free, if it must."""
        assert self.area
        went = self.candidates.forget(ppn)
        if self.cache.holds(ppn):
            self._note_gone(self.cache.blocks[ppn], went)
            self._unmap(vcpu, ppn, None)
            place = self.cache.drop(vcpu, ppn)
            if place is None:
                self.memory.free_ppn(ppn)
                return None
        else:
            place = SWAP, self.area.take(1)
            self._note_gone(place, went)
            if ppn in self.memory.shared.by_ppn:
                self._unmap(vcpu, ppn, None)
                self.memory.shared.slots[self.memory.shared.drop(ppn)] = place[1]
            else:
                self._unmap(vcpu, ppn, place[1])
            vcpu.count("guest_page_outs")
            vcpu.count("double_page_outs", int(ppn in self.memory.swapped))
        access_past_tlbs(vcpu, ppn, "data", "")
        return place

    def _note_gone(self, place: Place, went: int | None) -> None:
        if went is not None:
            self.gone[place] = went

    def _write(self, vcpu: Vcpu, row: list[tuple[int, Place]]) -> None:
        assert self.area
        if not row:
            return
        if row[0][1][0] == SWAP:
            sent = [(ppn, slot) for ppn, (_, slot) in row]
            self.area.write(max(vcpu.core.clock, vcpu.waits_until), sent)
        else:
            done = self.cache.ask_to_write(vcpu, [block for _, block in row])
            self.area.flights += [(ppn, done) for ppn, _ in row]

    def _unmap(self, vcpu: Vcpu, ppn: int, slot: int | None) -> None:
        """Every leaf leads to the slot instead, or nowhere: first the one by which the page is found."""
        if ppn not in self.where:
            return
        process, vpn = self.where.pop(ppn)
        others = [other for other in self._mappers(vpn, ppn) if other is not process]
        if slot is not None:
            self.area.held[slot] = 1 + len(others)  # type: ignore[union-attr]
        for each in (process, *others):
            self._unmap_leaf(vcpu, each, vpn, slot)
        for _ in range(self.memory.sharers.get(ppn, 0)):
            self.memory.lose_sharer(ppn)

    def _unmap_leaf(self, vcpu: Vcpu, process: Process, vpn: int, slot: int | None) -> None:
        leaf = process.space.tables[key(1, vpn)]
        if slot is None:
            self.cache.harvest(leaf)
            del process.space.tables[key(1, vpn)]
        else:
            leaf.slot, leaf.accessed, leaf.dirty = slot, False, False
        vcpu.charge(PART, vcpu.costs["gpt_write"])
        vcpu.count("gpt_writes")
        table = self.spaces.leaf_table(process.space, vpn)
        if vcpu.shadow:
            vcpu.shadow.table_written(table, 1, vpn, None)
        forget_of(vcpu, process, vpn)
        if vcpu.shadow:
            vcpu.shadow.entry_settled(table, vpn)

    # --- in ---

    def swap_in(self, vcpu: Vcpu, space: Space, vpn: int) -> None:
        """The disk reads into a new page, past the TLBs; who touched it waits."""
        assert self.area
        leaf = space.tables[key(1, vpn)]
        assert leaf.slot is not None
        ppn = self.memory.take_ppn("data")
        self.read_slot(vcpu, ppn, leaf.slot)
        leaf.target, leaf.slot = ppn, None
        write_leaf(vcpu, space, vpn, "guest_fault_cycles")
        self.note_mapped(space, vpn, ppn)

    def read_slot(self, vcpu: Vcpu, ppn: int, slot: int) -> None:
        """Into a new page; the slot is led to once less."""
        assert self.area
        vcpu.count("double_page_ins", int(ppn in self.memory.swapped))
        access_past_tlbs(vcpu, ppn, "data", "device")
        vcpu.wait_until(self.area.read(max(vcpu.now, vcpu.waits_until), slot))
        self.candidates.remember(ppn, self.gone.get((SWAP, slot)))
        self.release(vcpu, slot)
        vcpu.count("major_faults")
        vcpu.count("guest_page_ins")

    def release(self, vcpu: Vcpu, slot: int) -> None:
        """A leaf leads to a slot no more."""
        assert self.area
        self.area.held[slot] -= 1
        if not self.area.held[slot]:
            del self.area.held[slot]
            self.gone.pop((SWAP, slot), None)
            vcpu.count("guest_slots_freed")
