"""The data caches that page walks read their entries through, as lists of lines.

A cache is a list of sets, a set a list of line numbers, the least recently used first. A hierarchy is a list of caches,
the nearest first: whoever is asked and does not have a line asks the next, and keeps what it gets.
"""

from __future__ import annotations

from vmcfg.scenario.spec import Cpu, DataCache

LINE_BYTES = 64
PAGE_BYTES = 4096


class LineCache:
    """Holds `ways` lines in each of its sets, and knows what a hit in it is called and costs."""

    def __init__(self, shape: DataCache, found: str) -> None:
        self.ways = shape.ways
        self.sets: list[list[int]] = [[] for _ in range(shape.size_bytes // LINE_BYTES // shape.ways)]
        self.latency = shape.latency
        self.found = found

    def reads(self, line: int) -> bool:
        """Whether the line is there; from now on it is."""
        lines = self.sets[line % len(self.sets)]
        is_hit = line in lines
        if is_hit:
            lines.remove(line)
        lines.append(line)
        if len(lines) > self.ways:
            lines.pop(0)
        return is_hit


class Lines:
    """What one core reads memory through: caches of its own, then the one that it shares, then memory."""

    def __init__(self, levels: list[LineCache], memory_latency: int) -> None:
        self.levels = levels
        self.memory_latency = memory_latency

    def read(self, address: int) -> tuple[str, int]:
        """Where the line of an address was found, and the cycles of it; every level that was asked has it then."""
        for level in self.levels:
            if level.reads(address // LINE_BYTES):
                return level.found, level.latency
        return "memory_refs", self.memory_latency


def lines_of_cores(cpu: Cpu, cores: int) -> list[Lines | None]:
    """What each core of a host reads through; None where references cost the same wherever they go."""
    caches = cpu.data_caches
    if caches is None:
        return [None] * cores
    shared = [LineCache(caches.llc, "llc_refs")] if caches.llc else []
    own = [(shape, name) for shape, name in ((caches.l1, "l1_refs"), (caches.l2, "l2_refs")) if shape]
    return [
        Lines([LineCache(shape, name) for shape, name in own] + shared, caches.memory_latency) for _ in range(cores)
    ]


def entry_address(frame: int, level: int, page: int, bits: int) -> int:
    """Where the entry of `level` on the way to a page lies, in the table that lies in a frame and fills it."""
    entries = 2**bits
    return frame * PAGE_BYTES + page // entries ** (level - 1) % entries * (PAGE_BYTES // entries)
