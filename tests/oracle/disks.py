"""Disks that serve one request after the other, and swap areas on them: numbers and lists."""

from __future__ import annotations

from vmcfg.scenario.spec import PAGE_BYTES, Disk

from .vcpu import to_cycles


class Queue:
    """A disk: when it is free again, and where its last request ended."""

    def __init__(self, disk: Disk, hz: int) -> None:
        self.hz = hz
        self.bandwidth = disk.bandwidth
        self.latency = to_cycles(disk.latency_ns, hz)
        self.seek = to_cycles(disk.seek_ns, hz)
        self.free_at = 0
        self.head = -1
        self.ends = 0  # pages of the areas that have been laid on it

    def ask(self, now: int, place: int, pages: int) -> int:
        """When a request for neighbouring pages is done."""
        moving = -(-pages * PAGE_BYTES * self.hz // self.bandwidth)
        self.free_at = max(now, self.free_at) + moving + (self.seek if place != self.head else 0)
        self.head = place + pages
        return self.free_at + self.latency


class Area:
    """Slots on a disk, what each holds, and what is on its way there as (what, when it is done)."""

    def __init__(self, disk: Queue, slots: int) -> None:
        self.disk = disk
        self.first = disk.ends
        disk.ends += slots
        self.held: dict[int, int] = {}
        self.slots = slots
        self.next = 0
        self.flights: list[tuple[int, int]] = []

    @property
    def is_full(self) -> bool:
        return len(self.held) == self.slots

    def take(self, content: int) -> int:
        """The next free slot, going round from where the last one was found."""
        slot = next(s % self.slots for s in range(self.next, self.next + self.slots) if s % self.slots not in self.held)
        self.held[slot] = content
        self.next = (slot + 1) % self.slots
        return slot

    def read(self, now: int, slot: int, pages: int = 1) -> int:
        return self.disk.ask(now, self.first + slot, pages)

    def write(self, now: int, sent: list[tuple[int, int]]) -> None:
        """Sends (what, slot) out, a request for each row of neighbouring slots."""
        rows: list[list[tuple[int, int]]] = []
        for what, slot in sent:
            if rows and rows[-1][-1][1] + 1 == slot:
                rows[-1].append((what, slot))
            else:
                rows.append([(what, slot)])
        for row in rows:
            done = self.disk.ask(now, self.first + row[0][1], len(row))
            self.flights += [(what, done) for what, _ in row]

    def landed(self, now: int) -> list[int]:
        """What has arrived, in the order in which it was sent."""
        arrived = []
        while self.flights and self.flights[0][1] <= now:
            arrived.append(self.flights.pop(0)[0])
        return arrived
