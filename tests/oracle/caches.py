"""One set-associative cache, for everything that caches translations; here under LRU, in `plru` under tree-PLRU.

A set is a list of lines, the least recently used first. In which way a line sits never shows: invalid ways are
filled before anything is replaced, and LRU asks for nothing but the order. So only the number of ways matters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vmcfg.scenario.spec import CacheShape


@dataclass
class Line:
    """A cached translation of page (or table prefix) `number` of the VM `vm`; only TLBs use `dirty`."""

    vm: str
    number: int
    dirty: bool = False


class Cache(Protocol):
    """What the machine asks of a cache, whatever its replacement policy."""

    def find(self, vm: str, number: int) -> Line | None: ...
    def hit(self, vm: str, number: int) -> Line | None: ...
    def fill(self, vm: str, number: int, dirty: bool = False) -> Line: ...
    def drop(self, vm: str, number: int) -> None: ...
    def flush(self) -> None: ...


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

    def find(self, vm: str, number: int) -> Line | None:
        """The line, without a change of recency."""
        for line in self._set(number):
            if line.vm == vm and line.number == number:
                return line
        return None

    def hit(self, vm: str, number: int) -> Line | None:
        """The line, which becomes the most recently used of its set."""
        line = self.find(vm, number)
        if line is not None:
            self._set(number).remove(line)
            self._set(number).append(line)
        return line

    def fill(self, vm: str, number: int, dirty: bool = False) -> Line:
        """Puts in a line that is not there yet and evicts the least recent one of a full set."""
        assert self.find(vm, number) is None
        line = Line(vm, number, dirty)
        lines = self._set(number)
        lines.append(line)
        if len(lines) > self.ways:
            lines.pop(0)
        return line

    def drop(self, vm: str, number: int) -> None:
        """Invalidates one line, if it is there."""
        line = self.find(vm, number)
        if line is not None:
            self._set(number).remove(line)

    def flush(self) -> None:
        """Invalidates every line, of all VMs."""
        for lines in self.sets:
            lines.clear()

    def _set(self, number: int) -> list[Line]:
        return self.sets[set_number(self.index, number, len(self.sets))]


def set_number(index: str, number: int, sets: int) -> int:
    """The set by the number's low digits in base `sets`; `xor` combines each with the digit above it."""
    low, above = number % sets, number // sets % sets
    return low ^ above if index == "xor" else low
