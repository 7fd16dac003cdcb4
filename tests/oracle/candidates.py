"""Pages that may be taken from somebody, in the order of a naive policy that looks at A bits kept elsewhere."""

from __future__ import annotations

from typing import Protocol

from .replacement import POLICIES, Clock, Random
from .streams import draw, stream_key, word


class Marks(Protocol):
    """A bits that walks set."""

    def is_marked(self, page: int) -> bool:
        """Whether a page has been accessed."""

    def unmark(self, page: int) -> None:
        """Forgets that."""


class Candidates:
    def __init__(self, policy: str, seed: int, stream: str, marks: Marks) -> None:
        key = stream_key(seed, stream)
        self.marks = marks
        self.reads_bits = policy not in ("fifo", "random")
        self.policy = Random(lambda n, end: draw(word(key, n), end)) if policy == "random" else POLICIES[policy]()
        self.pages: set[int] = set()

    def enter(self, page: int) -> None:
        assert page not in self.pages
        if self.reads_bits:
            self.marks.unmark(page)
        self.pages.add(page)
        self.policy.enter(page, 0)

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

    def _has_bit(self, page: int) -> bool:
        if isinstance(self.policy, Clock):
            return self.policy.queue.get(page, False)
        return page in self.policy.accessed

    def _drop_bit(self, page: int) -> None:
        if isinstance(self.policy, Clock):
            self.policy.queue[page] = False
        else:
            self.policy.accessed.discard(page)
