"""A guest that takes memory back from its own processes: victims, slots, pages that come back; its balloon driver."""

from __future__ import annotations

from .candidates import Candidates
from .disks import Area, Queue
from .faults import access_past_tlbs, take_exit, write_leaf
from .flushes import forget_of
from .host_paging import ENOUGH, HostPager
from .memory import OutOfGuestPagesError, key
from .spaces import Process, Space
from .vcpu import Vcpu

BATCH = 32
MOST_AT_ONCE, SLOWEST, FASTEST, FASTER = 16384, 512, 2048, 16  # pages of a balloon's contact
PART = "guest_cycles"


class GuestMarks:
    """A of the one leaf by which a page is found."""

    def __init__(self, guest: GuestPager) -> None:
        self.guest = guest

    def is_marked(self, page: int) -> bool:
        return self.guest.leaf_of(page).accessed

    def unmark(self, page: int) -> None:
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
        self.balloon: list[int] = []
        self.rate = SLOWEST
        self.is_popped = False
        self.area: Area | None = None
        self.memory.guest = self
        if self.how:
            self.area = Area(disks[self.how.swap.disk], self.how.swap.pages)
            self.candidates = Candidates(self.how.victim, seed, f"{vcpu.vm.name}/victims", GuestMarks(self))

    def leaf_of(self, ppn: int):  # type: ignore[no-untyped-def]
        process, vpn = self.where[ppn]
        return process.space.tables[key(1, vpn)]

    def note_mapped(self, space: Space, vpn: int, ppn: int) -> None:
        """A page has been mapped, by this leaf."""
        if self.how:
            self.where[ppn] = next(process for process in self.spaces.living() if process.space is space), vpn
            self.candidates.enter(ppn)

    def note_unmapped(self, space: Space, vpn: int, ppn: int, is_shared: bool) -> None:
        """One mapping of a page is gone; others, of the same page of other processes, are left if it was shared."""
        if not self.how:
            return
        if is_shared:
            if self.where[ppn][0].space is space:
                self.where[ppn] = self._mappers(vpn, ppn)[0], vpn
        else:
            del self.where[ppn]
            self.candidates.leave(ppn)

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
        if pages <= 0 or not self.how or self.area.is_full or not self.candidates.pages:  # type: ignore[union-attr]
            return False
        return free + len(self.area.flights) < self.least  # type: ignore[union-attr]

    def decide(self, vcpu: Vcpu) -> None:
        """Pages are short: some are paged out, for which the host may have to free frames first."""
        if not self.how:
            raise OutOfGuestPagesError(vcpu.vm.name)
        made = self.make_free(vcpu)
        if made == "no frames":
            self.host.decide(vcpu)
        elif made == "nothing left":
            raise OutOfGuestPagesError(vcpu.vm.name)

    def make_free(self, vcpu: Vcpu) -> str:
        assert self.area
        self.collect(vcpu.core.clock)
        wanted = max(self.least, self.wanted)
        while self.memory.free_pages + len(self.area.flights) < wanted + BATCH:
            if self.host.frames.free < self.host.reserve + BATCH:
                self.host.wanted = self.host.reserve + BATCH
                return "no frames"
            if not self._page_out(vcpu):
                break
        self.collect(vcpu.core.clock)
        missing = self.wanted - self.memory.free_pages
        if missing <= 0:
            return ENOUGH
        if missing > len(self.area.flights):
            return "nothing left"
        vcpu.wait_until(self.area.flights[missing - 1][1])
        return "waits"

    def collect(self, now: int) -> None:
        if self.area:
            for ppn in self.area.landed(now):
                self.memory.free_ppn(ppn)

    def _page_out(self, vcpu: Vcpu) -> int:
        assert self.area
        sent: list[tuple[int, int]] = []
        count = 0
        while count < BATCH and (self.host.frames.free or not self.host.how):
            ppn = self._choose()
            if ppn is None:
                break
            slot = self.area.take(0)
            self._unmap(vcpu, ppn, slot)
            vcpu.count("double_page_outs", int(ppn in self.memory.swapped))
            access_past_tlbs(vcpu, ppn, "data", "")
            if sent and sent[-1][1] + 1 != slot:  # only a page that is ready for the disk ends the row before it
                self._write(vcpu, sent)
                sent = []
            sent.append((ppn, slot))
            count += 1
        self._write(vcpu, sent)
        vcpu.count("guest_page_outs", count)
        return count

    def _choose(self) -> int | None:
        """With its leaf at hand as long as the policy looks at it."""
        return None if self.area.is_full else self.candidates.victim()  # type: ignore[union-attr]

    def _write(self, vcpu: Vcpu, sent: list[tuple[int, int]]) -> None:
        if sent:
            self.area.write(max(vcpu.core.clock, vcpu.waits_until), sent)  # type: ignore[union-attr]

    def _unmap(self, vcpu: Vcpu, ppn: int, slot: int) -> None:
        """Every leaf leads to the slot instead: first the one by which the page is found."""
        process, vpn = self.where.pop(ppn)
        others = [other for other in self._mappers(vpn, ppn) if other is not process]
        self.area.held[slot] = 1 + len(others)  # type: ignore[union-attr]
        for each in (process, *others):
            leaf = each.space.tables[key(1, vpn)]
            leaf.slot, leaf.accessed, leaf.dirty = slot, False, False
            vcpu.charge(PART, vcpu.costs["gpt_write"])
            vcpu.count("gpt_writes")
            table = self.spaces.leaf_table(each.space, vpn)
            if vcpu.shadow:
                vcpu.shadow.table_written(table, 1, vpn, None)
            forget_of(vcpu, each, vpn)
            if vcpu.shadow:
                vcpu.shadow.entry_settled(table, vpn)
        for _ in others:
            self.memory.lose_sharer(ppn)

    # --- in ---

    def swap_in(self, vcpu: Vcpu, space: Space, vpn: int) -> None:
        """The disk reads into a new page, past the TLBs; who touched it waits."""
        assert self.area
        leaf = space.tables[key(1, vpn)]
        assert leaf.slot is not None
        ppn = self.memory.take_ppn("data")
        vcpu.count("double_page_ins", int(ppn in self.memory.swapped))
        access_past_tlbs(vcpu, ppn, "data", "device")
        vcpu.wait_until(self.area.read(max(vcpu.now, vcpu.waits_until), leaf.slot))
        self.release(vcpu, leaf.slot)
        leaf.target, leaf.slot = ppn, None
        write_leaf(vcpu, space, vpn, "guest_fault_cycles")
        self.note_mapped(space, vpn, ppn)
        vcpu.count("major_faults")
        vcpu.count("guest_page_ins")

    def release(self, vcpu: Vcpu, slot: int) -> None:
        """A leaf leads to a slot no more."""
        assert self.area
        self.area.held[slot] -= 1
        if not self.area.held[slot]:
            del self.area.held[slot]
            vcpu.count("guest_slots_freed")

    # --- the balloon ---

    def contact(self, target: int) -> None:
        while self.vcpu.has_begun and self._poll(target) and self.host.free_for(self.vcpu) == ENOUGH:
            pass

    def touch_balloon(self, touched: int) -> tuple[int, bool]:
        """Writes to the balloon from its `touched`-th page on; returns (how far it came, whether that is all)."""
        while True:
            self.host.wanted = self.host.reserve
            while touched < len(self.balloon) and self.host.frames.free >= self.host.reserve:
                access_past_tlbs(self.vcpu, self.balloon[touched], "data", "cpu")
                touched += 1
            if touched == len(self.balloon):
                return touched, True
            if self.host.free_for(self.vcpu) != ENOUGH:
                return touched, False

    def pop(self) -> None:
        """The host gives the balloon up: its pages are as if never touched."""
        self.memory.ballooned.clear()
        self.is_popped = True
        self.vcpu.count("balloon_pops")

    def _poll(self, target: int) -> bool:
        """Returns whether the host has to free frames before the driver can go on."""
        waits = self.vcpu.waits_until
        if self.is_popped:
            self.is_popped = False
            self._deflate(len(self.balloon))
        self.collect(self.vcpu.core.clock)
        is_short = False
        if len(self.balloon) > target:
            self._deflate(min(len(self.balloon) - target, MOST_AT_ONCE))
        elif len(self.balloon) < target:
            is_short = self._grow(target - len(self.balloon))
        self.vcpu.waits_until = waits
        return is_short

    def _spare(self) -> int:
        return max(0, self.memory.free_pages - self.least)

    def _grow(self, wanted: int) -> bool:
        wanted = min(wanted, MOST_AT_ONCE)
        free = min(wanted, self._spare())
        self._inflate(free)
        if wanted == free or not self.how:
            return False
        asked = min(wanted - free, self.rate)
        self.wanted = asked + self.least
        made = self.make_free(self.vcpu)
        taken = min(asked, self._spare())
        self._inflate(taken)
        self.rate = min(max(self.rate + FASTER if taken == asked else self.rate // 2, SLOWEST), FASTEST)
        return made == "no frames"

    def _inflate(self, pages: int) -> None:
        if not pages:
            return
        won = 0
        for _ in range(pages):
            ppn = self.memory.take_ppn("data")
            won += self.host.unback(self.memory, ppn)
            self.memory.ballooned.add(ppn)
            self.balloon.append(ppn)
        self.vcpu.count("balloon_inflated", pages)
        self.vcpu.count("balloon_frames_won", won)
        flushing = self.host.flush(self.memory.number) if won else 0
        take_exit(self.vcpu, "balloon", self.vcpu.costs["exit"] + flushing)

    def _deflate(self, pages: int) -> None:
        for _ in range(pages):
            ppn = self.balloon.pop()
            self.memory.ballooned.discard(ppn)
            self.memory.free_ppn(ppn)
        self.vcpu.count("balloon_deflated", pages)
