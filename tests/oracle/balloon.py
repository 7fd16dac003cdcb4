"""A guest's balloon driver: what it takes from its guest, and how fast; a guest without a swap area may have one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .faults import access_past_tlbs, take_exit
from .host_paging import ENOUGH, WAITS
from .killing import BALLOON, kill

if TYPE_CHECKING:
    from .guest_paging import GuestPager

MOST_AT_ONCE, SLOWEST, FASTEST, FASTER = 16384, 512, 2048, 16  # pages of a contact
NO_FRAMES, NOTHING_LEFT = "no frames", "nothing left"  # why a guest can free no page


class Driver:
    """Its `pages` are the balloon, the last one in to be given back first."""

    def __init__(self, guest: GuestPager) -> None:
        self.guest = guest
        self.vcpu, self.host, self.memory = guest.vcpu, guest.host, guest.memory
        self.pages: list[int] = []
        self.rate = SLOWEST
        self.sleeps_until = 0
        self.is_popped = False

    def contact(self, target: int) -> None:
        """The driver hears its target, and goes on as long as host or guest can make it possible."""
        while self.vcpu.has_begun:
            why = self._poll(target)
            is_freed = why == NO_FRAMES and self.host.free_for(self.vcpu) == ENOUGH
            if not is_freed and not (why == NOTHING_LEFT and kill(self.vcpu, BALLOON)):
                return

    def touch(self, touched: int) -> tuple[int, bool]:
        """Writes to the balloon from its `touched`-th page on; returns (how far it came, whether that is all)."""
        while True:
            self.host.wanted = self.host.reserve
            while touched < len(self.pages) and self.host.frames.free >= self.host.reserve:
                access_past_tlbs(self.vcpu, self.pages[touched], "data", "cpu")
                touched += 1
            if touched >= len(self.pages):
                return touched, True
            if self.host.free_for(self.vcpu) != ENOUGH:
                return touched, False

    def pop(self) -> None:
        """The host gives the balloon up: its pages are as if never touched."""
        self.memory.ballooned.clear()
        self.is_popped = True
        self.vcpu.count("balloon_pops")

    def _poll(self, target: int) -> str:
        """Returns why the driver cannot go on, if somebody could do something about it."""
        waits = self.vcpu.waits_until
        if self.is_popped:
            self.is_popped = False
            self._deflate(len(self.pages))
        self.guest.collect(self.vcpu.core.clock)
        why = ""
        if len(self.pages) > target:
            self._deflate(min(len(self.pages) - target, MOST_AT_ONCE))
        elif len(self.pages) < target:
            why = self._grow(target - len(self.pages))
        self.vcpu.waits_until = waits
        return why

    def _spare(self) -> int:
        return max(0, self.memory.free_pages - self.guest.least)

    def _grow(self, wanted: int) -> str:
        wanted = min(wanted, MOST_AT_ONCE)
        free = min(wanted, self._spare())
        self._inflate(free)
        if wanted == free or self.vcpu.core.clock < self.sleeps_until:
            return ""
        if not self.guest.how:
            return NOTHING_LEFT
        asked = min(wanted - free, self.rate)
        self.guest.wanted = asked + self.guest.least
        made = self.guest.make_free(self.vcpu)
        self._inflate(min(asked, self._spare()))
        if made != NO_FRAMES:
            self.sleeps_until = self.vcpu.waits_until if made == WAITS else 0
            self._adapt(asked, made)
        return made

    def _adapt(self, asked: int, made: str) -> None:
        if made == NOTHING_LEFT:
            self.rate = max(SLOWEST, self.rate // 2)
        elif asked == self.rate:
            self.rate = min(FASTEST, self.rate + FASTER)

    def _inflate(self, pages: int) -> None:
        if not pages:
            return
        won = 0
        for _ in range(pages):
            ppn = self.memory.take_ppn("data")
            won += self.host.unback(self.memory, ppn)
            self.memory.ballooned.add(ppn)
            self.pages.append(ppn)
        self.vcpu.count("balloon_inflated", pages)
        self.vcpu.count("balloon_frames_won", won)
        flushing = self.host.flush(self.memory.number) if won else 0
        take_exit(self.vcpu, "balloon", self.vcpu.costs["exit"] + flushing)

    def _deflate(self, pages: int) -> None:
        for _ in range(pages):
            ppn = self.pages.pop()
            self.memory.ballooned.discard(ppn)
            self.memory.free_ppn(ppn)
        self.vcpu.count("balloon_deflated", pages)
