"""One set-associative cache, for everything that caches translations; here under LRU, in `plru` under tree-PLRU.

A set is a list of lines, the least recently used first. In which way a line sits never shows: invalid ways are
filled before anything is replaced, and LRU asks for nothing but the order. So only the number of ways matters.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable
from dataclasses import dataclass
from typing import Protocol

from vmcfg.scenario.spec import CacheShape

Tag = Hashable  # whose translation it is: what a processor compares beside the number


@dataclass
class Line:
    """A cached translation of page (or table prefix) `number`; only TLBs use `dirty`, which is D and W.

    Where that is not plain from the tag and the number, `leads_to` is what was found there.
    """

    tag: Tag
    number: int
    dirty: bool = False
    leads_to: object = None


class Cache(Protocol):
    """What the machine asks of a cache, whatever its replacement policy."""

    def find(self, tag: Tag, number: int) -> Line | None: ...
    def hit(self, tag: Tag, number: int) -> Line | None: ...
    def fill(self, tag: Tag, number: int, dirty: bool = False) -> Line: ...
    def drop(self, tag: Tag, number: int) -> None: ...
    def flush(self) -> None: ...
    def drop_tags(self, tags: Collection[Tag]) -> None: ...


def cache_of(shape: CacheShape | None) -> Cache:
    """A cache of that shape under the policy that it names."""
    from .plru import TreePlruCache

    return TreePlruCache(shape) if shape and shape.policy == "plru" else LruCache(shape)


class LruCache:
    """Holds `entries` lines in sets of `ways`; the shape None is a cache that holds nothing."""

    def __init__(self, shape: CacheShape | None) -> None:
        assert shape is None or shape.policy == "lru"
        self.ways = shape.ways if shape else 0
        self.index = shape.index if shape else "modulo"
        self.sets: list[list[Line]] = [[] for _ in range(shape.entries // shape.ways if shape else 1)]

    def find(self, tag: Tag, number: int) -> Line | None:
        """The line, without a change of recency."""
        for line in self._set(number):
            if line.tag == tag and line.number == number:
                return line
        return None

    def hit(self, tag: Tag, number: int) -> Line | None:
        """The line, which becomes the most recently used of its set."""
        line = self.find(tag, number)
        if line is not None:
            self._set(number).remove(line)
            self._set(number).append(line)
        return line

    def fill(self, tag: Tag, number: int, dirty: bool = False) -> Line:
        """Puts in a line that is not there yet and evicts the least recent one of a full set."""
        assert self.find(tag, number) is None
        line = Line(tag, number, dirty)
        lines = self._set(number)
        lines.append(line)
        if len(lines) > self.ways:
            lines.pop(0)
        return line

    def drop(self, tag: Tag, number: int) -> None:
        """Invalidates one line, if it is there."""
        line = self.find(tag, number)
        if line is not None:
            self._set(number).remove(line)

    def flush(self) -> None:
        """Invalidates every line, of all VMs."""
        for lines in self.sets:
            lines.clear()

    def drop_tags(self, tags: Collection[Tag]) -> None:
        """Invalidates every line under one of the tags."""
        for lines in self.sets:
            lines[:] = [line for line in lines if line.tag not in tags]

    def _set(self, number: int) -> list[Line]:
        return self.sets[set_number(self.index, number, len(self.sets))]


def set_number(index: str, number: int, sets: int) -> int:
    """The set by the number's low digits in base `sets`; `xor` combines each with the digit above it."""
    low, above = number % sets, number // sets % sets
    return low ^ above if index == "xor" else low
