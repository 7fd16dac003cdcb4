"""Pages become dense indices in order of first appearance, by an open-addressing table in a kernel.

Every later stage indexes arrays by page, so a trace's pages, however far apart, are numbered once here. A record
is then `index << 2 | kind` in 32 bits: half the memory, and half the traffic, of the access it stands for.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import entry, kernel
from vmcfg.rng import mix

MAX_PAGES = 1 << 30  # what the 32 bits of a record leave for the index


class Interner:
    """Accesses taken in so far: `records` uint32 (index << 2 | kind), `vpns` int64 (the page of each index)."""

    def __init__(self) -> None:
        self._records = np.empty(1 << 12, np.uint32)
        self._vpns = np.empty(1 << 12, np.int64)
        self._slots = np.zeros(1 << 13, np.int32)  # index + 1; 0 is empty; at most half are taken
        self.record_count = 0
        self.page_count = 0

    def add(self, pages: np.ndarray, kinds: np.ndarray) -> None:
        """Append accesses: int64 pages and uint8 kinds (0 fetch, 1 load, 2 store) of equal length."""
        self._make_room(len(pages))
        self.page_count = intern(
            pages, kinds, self._records[self.record_count :], self._slots, self._vpns, self.page_count
        )
        self.record_count += len(pages)

    def bytes_with(self, more: int) -> int:
        """Return the memory that this would take after `more` accesses, should each be to a new page."""
        records, vpns, slots = self._lengths(more)
        return records * self._records.itemsize + vpns * self._vpns.itemsize + slots * self._slots.itemsize

    def take(self) -> tuple[np.ndarray, np.ndarray]:
        """Return (records, vpns), cut to their lengths. The interner is empty-handed afterwards."""
        self._records.resize(self.record_count, refcheck=False)
        self._vpns.resize(self.page_count, refcheck=False)
        return self._records, self._vpns

    def _make_room(self, more: int) -> None:
        # Growing in place lets the C library move whole pages of memory, so no second copy of the trace exists.
        records, vpns, slots = self._lengths(more)
        if records > len(self._records):
            self._records.resize(records, refcheck=False)
        if vpns > len(self._vpns):
            self._vpns.resize(vpns, refcheck=False)
        if slots > len(self._slots):
            self._slots = np.zeros(slots, np.int32)
            fill_slots(self._slots, self._vpns, self.page_count)

    def _lengths(self, more: int) -> tuple[int, int, int]:
        """Return how long records, vpns and slots have to be: as they are, or half as long again as is needed now."""
        records, pages = self.record_count + more, self.page_count + more
        return (
            len(self._records) if records <= len(self._records) else records * 3 // 2,
            len(self._vpns) if pages <= len(self._vpns) else pages * 3 // 2,
            len(self._slots) if 2 * pages <= len(self._slots) else 1 << (4 * pages - 1).bit_length(),
        )


@kernel
def slot_of(page, slots, vpns):
    """Return the slot that holds `page`, or the empty one where it belongs."""
    last = len(slots) - 1
    slot = np.int64(mix(np.uint64(page)) & np.uint64(last))
    while slots[slot] != 0 and vpns[slots[slot] - 1] != page:
        slot = (slot + 1) & last
    return slot


@entry
def intern(pages, kinds, records, slots, vpns, page_count):
    """Write the record of each access and enter new pages; return the number of pages known now."""
    for i in range(len(pages)):
        page = pages[i]
        slot = slot_of(page, slots, vpns)
        if slots[slot] == 0:
            vpns[page_count] = page
            page_count += 1
            slots[slot] = page_count
        records[i] = ((np.int64(slots[slot]) - 1) << 2) | np.int64(kinds[i])
    return page_count


@entry
def fill_slots(slots, vpns, page_count):
    """Enter the pages known so far into an empty table."""
    for index in range(page_count):
        slots[slot_of(vpns[index], slots, vpns)] = index + 1
