"""Replacement policies as their papers say them: dictionaries and lists, one small class each.

All have four methods: `enter` a page that is not there, `refer` to one that is, `leave`, and `victim`, which takes out
and returns the page that goes, or None. Where order counts, an ordered dictionary has its oldest page first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

Draw = Callable[[int, int], int]
"""What draws for random victims: (which draw, end) → a number below the end."""


class Fifo:
    def __init__(self) -> None:
        self.queue: OrderedDict[int, bool] = OrderedDict()

    def enter(self, page: int, when: int) -> None:
        self.queue[page] = False

    def refer(self, page: int, when: int) -> None:
        pass

    def leave(self, page: int) -> None:
        self.queue.pop(page, None)

    def victim(self) -> int | None:
        return self.queue.popitem(last=False)[0] if self.queue else None


class Lru(Fifo):
    def refer(self, page: int, when: int) -> None:
        self.queue.move_to_end(page)


class Clock(Fifo):
    bit_of_a_new_page = False

    def enter(self, page: int, when: int) -> None:
        self.queue[page] = self.bit_of_a_new_page

    def refer(self, page: int, when: int) -> None:
        self.queue[page] = True

    def victim(self) -> int | None:
        while self.queue:
            page, is_accessed = self.queue.popitem(last=False)
            if not is_accessed:
                return page
            self.queue[page] = False
        return None


class ClockReferenced(Clock):
    bit_of_a_new_page = True


class Sieve:
    def __init__(self) -> None:
        self.queue: list[int] = []
        self.accessed: set[int] = set()
        self.hand = 0

    def enter(self, page: int, when: int) -> None:
        self.queue.append(page)

    def refer(self, page: int, when: int) -> None:
        self.accessed.add(page)

    def leave(self, page: int) -> None:
        if page in self.queue:
            self.hand -= self.queue.index(page) < self.hand
            self.hand %= len(self.queue) - 1 or 1
            self.queue.remove(page)
            self.accessed.discard(page)

    def victim(self) -> int | None:
        while self.queue:
            page = self.queue[self.hand]
            if page not in self.accessed:
                self.queue.remove(page)
                self.hand %= len(self.queue) or 1
                return page
            self.accessed.remove(page)
            self.hand = (self.hand + 1) % len(self.queue)
        return None


class Ranked:
    """The page of the smallest rank goes."""

    def __init__(self) -> None:
        self.rank: dict[int, Any] = {}

    def leave(self, page: int) -> None:
        self.rank.pop(page, None)

    def victim(self) -> int | None:
        if not self.rank:
            return None
        page = min(self.rank, key=self.rank.__getitem__)
        del self.rank[page]
        return page


class Lfu(Ranked):
    def enter(self, page: int, when: int) -> None:
        self.rank[page] = (1, when)

    def refer(self, page: int, when: int) -> None:
        self.rank[page] = (self.rank[page][0] + 1, when)


class Lru2(Ranked):
    def enter(self, page: int, when: int) -> None:
        self.rank[page] = (float("-inf"), when)

    def refer(self, page: int, when: int) -> None:
        self.rank[page] = (self.rank[page][1], when)


class Lru2History(Lru2):
    def __init__(self) -> None:
        super().__init__()
        self.last: dict[int, int] = {}

    def enter(self, page: int, when: int) -> None:
        self.rank[page] = (self.last.get(page, float("-inf")), when)
        self.last[page] = when

    def refer(self, page: int, when: int) -> None:
        super().refer(page, when)
        self.last[page] = when

    def leave(self, page: int) -> None:
        super().leave(page)
        self.last.pop(page, None)


class Opt(Ranked):
    """`when` is the time of the next access."""

    def enter(self, page: int, when: int) -> None:
        self.rank[page] = (-when, page)

    refer = enter


class Random:
    def __init__(self, draw: Draw) -> None:
        self.pages: list[int] = []
        self.draw = draw
        self.drawn = 0

    def enter(self, page: int, when: int) -> None:
        self.pages.append(page)

    def refer(self, page: int, when: int) -> None:
        pass

    def leave(self, page: int) -> None:
        if page in self.pages:
            self._take(self.pages.index(page))

    def victim(self) -> int | None:
        if not self.pages:
            return None
        self.drawn += 1
        return self._take(self.draw(self.drawn - 1, len(self.pages)))

    def _take(self, index: int) -> int:
        page, self.pages[index] = self.pages[index], self.pages[-1]
        self.pages.pop()
        return page


class TwoList:
    """The reclaim is a loop over priorities that is suspended at each page that it takes."""

    def __init__(self) -> None:
        self.inactive: OrderedDict[int, bool] = OrderedDict()  # page → seen accessed once
        self.active: OrderedDict[int, None] = OrderedDict()
        self.accessed: set[int] = set()
        self.age = 0
        self.gone_at: dict[int, int] = {}
        self.victims = self._reclaims()

    def enter(self, page: int, when: int) -> None:
        if page in self.gone_at and self.age - self.gone_at[page] <= len(self.active):
            self._activate(page)
        else:
            self.inactive[page] = False
        self.accessed.add(page)
        self.gone_at.pop(page, None)

    def refer(self, page: int, when: int) -> None:
        self.accessed.add(page)

    def leave(self, page: int) -> None:
        for each in (self.inactive, self.active, self.gone_at):
            each.pop(page, None)
        self.accessed.discard(page)

    def victim(self) -> int | None:
        return next(self.victims) if self.inactive or self.active else None

    def _reclaims(self) -> Iterator[int]:
        while True:
            yield from self._reclaim()

    def _reclaim(self) -> Iterator[int]:
        taken = 0
        for priority in range(12, -1, -1):
            to_age = len(self.active) >> priority if len(self.inactive) < len(self.active) else 0
            for _ in range(len(self.inactive) >> priority):
                page = self._scan_one()
                if page is None:
                    continue
                taken += 1
                if taken == 32:
                    self._end_round(to_age)
                    yield page
                    return
                yield page
            self._end_round(to_age)

    def _scan_one(self) -> int | None:
        """The page that goes, if the oldest does."""
        if not self.inactive:
            return None
        page, was_seen = self.inactive.popitem(last=False)
        if page not in self.accessed:
            self.gone_at[page] = self.age
            self.age += 1
            return page
        self.accessed.remove(page)
        if was_seen:
            self._activate(page)
        else:
            self.inactive[page] = True
        return None

    def _end_round(self, to_age: int) -> None:
        self._give_back(to_age)
        if len(self.inactive) < len(self.active):
            self._give_back(32)

    def _give_back(self, count: int) -> None:
        for _ in range(min(count, len(self.active))):
            page, _nothing = self.active.popitem(last=False)
            self.accessed.discard(page)
            self.inactive[page] = False

    def _activate(self, page: int) -> None:
        self.active[page] = None
        self.age += 1


POLICIES: dict[str, Callable[[], Any]] = {
    "fifo": Fifo,
    "lru": Lru,
    "clock": Clock,
    "clock_referenced": ClockReferenced,
    "sieve": Sieve,
    "lfu": Lfu,
    "lru2": Lru2,
    "lru2_history": Lru2History,
    "two_list": TwoList,
    "opt": Opt,
}
"""All but random, which needs to be told how it draws."""


def misses(policy: Any, pages: Sequence[int], capacity: int, batch: int = 1) -> int:
    """Replay pages through a memory of so many; when it is full, `batch` leave at once."""
    resident: set[int] = set()
    missed = 0
    times = next_uses(pages) if isinstance(policy, Opt) else range(len(pages))
    for page, when in zip(pages, times, strict=True):
        if page in resident:
            policy.refer(page, when)
            continue
        missed += 1
        if len(resident) == capacity:
            for _ in range(batch):
                resident.discard(policy.victim())
        resident.add(page)
        policy.enter(page, when)
    return missed


def next_uses(pages: Sequence[int]) -> list[int]:
    """For each access the time of the next one to the same page, beyond the end if there is none."""
    found = [0] * len(pages)
    seen: dict[int, int] = {}
    for when in range(len(pages) - 1, -1, -1):
        found[when] = seen.get(pages[when], 1 << 62)
        seen[pages[when]] = when
    return found
