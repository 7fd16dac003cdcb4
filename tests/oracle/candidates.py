"""Pages that may be taken from somebody, in a naive policy's order: it looks at A bits kept elsewhere, or is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .replacement import POLICIES, Clock, Random, Ranked, TwoList
from .streams import draw, stream_key, word


class Marks(Protocol):
    """A bits that walks set."""

    def is_marked(self, page: int) -> bool:
        """Whether a page has been accessed."""

    def unmark(self, page: int) -> None:
        """Forgets that."""


class Candidates:
    """`is_told`: the policy hears of each access, one after the other, and looks at no bits."""

    def __init__(self, policy: str, seed: int, stream: str, marks: Marks, is_told: bool = False) -> None:
        key = stream_key(seed, stream)
        self.marks = marks
        self.is_told = is_told
        self.reads_bits = policy not in ("fifo", "random") and not is_told
        self.now = 0  # what has been entered and referred to so far: no two at one time
        self.policy = Random(lambda n, end: draw(word(key, n), end)) if policy == "random" else POLICIES[policy]()
        self.pages: set[int] = set()

    def enter(self, page: int) -> None:
        assert page not in self.pages
        if self.reads_bits:
            self.marks.unmark(page)
        self.pages.add(page)
        self.now += 1
        self.policy.enter(page, self.now)

    def enter_unaccessed(self, page: int) -> None:
        """It has come, and nobody has used it yet."""
        self.enter(page)
        if self.reads_bits and self._has_bit(page):
            self._drop_bit(page)

    def mark(self, page: int) -> None:
        """An access that sets no bit elsewhere."""
        if self.is_told:
            self.refer(page)
        elif self.reads_bits:
            self.policy.refer(page, 0)

    def refer(self, page: int) -> None:
        """An access to a page, of which the policy hears if the page is there."""
        if page in self.pages:
            self.now += 1
            self.policy.refer(page, self.now)

    def forget(self, page: int) -> int | None:
        """The page will hold something else: nothing is remembered of it; returns when it went, if that was."""
        went = self.policy.gone_at.get(page) if isinstance(self.policy, TwoList) else None
        self.policy.leave(page)
        return went

    def remember(self, page: int, went: int | None) -> None:
        """What is about to enter has been here before, in another page maybe, until then."""
        if went is not None:
            self.policy.gone_at[page] = went

    def leave(self, page: int) -> None:
        self.pages.discard(page)
        self.policy.leave(page)

    def victim(self) -> int | None:
        """The policy sees what is marked as accessed; what it forgets of that is unmarked."""
        marked = {page for page in self.pages if self.reads_bits and self.marks.is_marked(page)}
        lent = {page for page in marked if not self._has_bit(page)}
        for page in lent:
            self.policy.refer(page, 0)
        victim = self.policy.victim()
        for page in marked:
            if page == victim or not self._has_bit(page):
                self.marks.unmark(page)
            elif page in lent:
                self._drop_bit(page)
        if victim is not None:
            self.pages.discard(victim)
        return victim

    @property
    def is_ranked(self) -> bool:
        """Whether the policy gives each page a rank."""
        return isinstance(self.policy, Ranked)

    def victim_among(self, is_wanted: Callable[[int], bool]) -> int | None:
        """Of a policy that ranks pages: the first of those that are wanted; all others stay where they are."""
        assert isinstance(self.policy, Ranked)
        wanted = [page for page in self.pages if is_wanted(page)]
        if not wanted:
            return None
        page = min(wanted, key=self.policy.rank.__getitem__)
        del self.policy.rank[page]
        self.pages.discard(page)
        return page

    def _has_bit(self, page: int) -> bool:
        if isinstance(self.policy, Clock):
            return self.policy.queue.get(page, False)
        return page in self.policy.accessed

    def _drop_bit(self, page: int) -> None:
        if isinstance(self.policy, Clock):
            self.policy.queue[page] = False
        else:
            self.policy.accessed.discard(page)
