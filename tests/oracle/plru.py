"""The same cache under tree-PLRU, where it does show in which way a line sits.

A branch is the range of ways (first, number) below a node, halved until one way is left. What points right is a set
of branches; a branch that nobody has used since the start points left.
"""

from __future__ import annotations

from collections.abc import Collection

from vmcfg.scenario.spec import CacheShape

from .caches import Line, Tag, set_number

Branch = tuple[int, int]


class TreePlruCache:
    def __init__(self, shape: CacheShape) -> None:
        assert shape.policy == "plru"
        self.ways = shape.ways
        self.index = shape.index
        self.sets = [_Set(shape.ways) for _ in range(shape.entries // shape.ways)]

    def find(self, tag: Tag, number: int) -> Line | None:
        """The line, without a change of what the tree says."""
        lines = [line for line in self._set(number).lines if line and (line.tag, line.number) == (tag, number)]
        return lines[0] if lines else None

    def hit(self, tag: Tag, number: int) -> Line | None:
        """The line, which counts as used."""
        line = self.find(tag, number)
        if line is not None:
            self._set(number).use(self._set(number).lines.index(line))
        return line

    def fill(self, tag: Tag, number: int, dirty: bool = False) -> Line:
        """Puts in a line that is not there yet: into the lowest empty way, else where the tree leads."""
        assert self.find(tag, number) is None
        into = self._set(number)
        way = into.lines.index(None) if None in into.lines else into.victim()
        line = into.lines[way] = Line(tag, number, dirty)
        into.use(way)
        return line

    def drop(self, tag: Tag, number: int) -> None:
        """Invalidates one line, if it is there."""
        line = self.find(tag, number)
        if line is not None:
            lines = self._set(number).lines
            lines[lines.index(line)] = None

    def flush(self) -> None:
        """Invalidates every line, of all VMs."""
        for each in self.sets:
            each.lines = [None] * self.ways

    def drop_tags(self, tags: Collection[Tag]) -> None:
        """Invalidates every line under one of the tags."""
        for each in self.sets:
            each.lines = [None if line and line.tag in tags else line for line in each.lines]

    def _set(self, number: int) -> _Set:
        return self.sets[set_number(self.index, number, len(self.sets))]


class _Set:
    def __init__(self, ways: int) -> None:
        self.lines: list[Line | None] = [None] * ways
        self.points_right: set[Branch] = set()
        self.leaves = 1
        while self.leaves < ways:
            self.leaves *= 2

    def use(self, way: int) -> None:
        """Every branch that the way is in points to the half that it is not in."""
        branch = (0, self.leaves)
        while branch[1] > 1:
            left, right = _halves(branch)
            if way < right[0]:
                self.points_right.add(branch)
                branch = left
            else:
                self.points_right.discard(branch)
                branch = right

    def victim(self) -> int:
        """Where the branches lead; one without ways in it is never taken."""
        branch = (0, self.leaves)
        while branch[1] > 1:
            left, right = _halves(branch)
            branch = right if branch in self.points_right and right[0] < len(self.lines) else left
        return branch[0]


def _halves(branch: Branch) -> tuple[Branch, Branch]:
    first, number = branch
    return (first, number // 2), (first + number // 2, number // 2)
