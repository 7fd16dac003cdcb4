"""Events to nodes: what PyYAML's composer and constructor do, with limits, positions and without recursion.

PyYAML itself stays in `reading`; an event is anything with the attributes of its events, told apart by its name.
Faults beside which the document still has a meaning (a key given twice) are collected; others end the reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import define, evolve, field

from vmcfg.errors import Diagnostic, Note
from vmcfg.scenario.document import Mark, Node, Source
from vmcfg.scenario.scalars import ScalarError, describe, resolve, shorten

DEEPEST = 64  # levels of nesting
MOST_VALUES = 20_000  # with every alias written out

_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")


class Unreadable(Exception):
    """A fault after which the rest of the text has no meaning; `diagnostics` has it and those before it."""

    def __init__(self, diagnostics: list[Diagnostic]):
        super().__init__(diagnostics)
        self.diagnostics = diagnostics


@define
class _Open:
    """A list or mapping whose end has not been seen."""

    event: Any
    mark: Mark
    items: list[Node] = field(factory=list)
    entries: list[tuple[Node, Node]] = field(factory=list)
    key: Node | None = None
    size: int = 1

    def add(self, node: Node, size: int) -> None:
        self.size += size
        if _is_list(self.event):
            self.items.append(node)
        elif self.key is None:
            self.key = node
        else:
            self.entries.append((self.key, node))
            self.key = None


class Composer:
    """Turns events into nodes; one call of `take` per event."""

    def __init__(self, source: Source):
        self.source = source
        self.root: Node | None = None
        self.diagnostics: list[Diagnostic] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._values = 0

    def take(self, event: Any) -> None:
        """Takes one event. Raises Unreadable."""
        kind = type(event).__name__
        if kind == "DocumentStartEvent":
            self.check(self.root is None, self._mark(event), "yaml-documents",
                       "found a second document, expected exactly one", "a file holds one scenario: remove this ---")
        elif kind == "AliasEvent":
            self._alias(event)
        elif kind == "ScalarEvent":
            self._close(event, Node(self._scalar(event), self._mark(event)), 1)
        elif kind in ("SequenceStartEvent", "MappingStartEvent"):
            self._start(event)
        elif kind in ("SequenceEndEvent", "MappingEndEvent"):
            self._end(event)

    def check(self, holds: bool, mark: Mark, code: str, message: str, hint: str = "") -> None:
        """Ends the reading unless something holds."""
        if not holds:
            self.stop(mark, code, message, hint)

    def stop(self, mark: Mark, code: str, message: str, hint: str = "", notes: tuple[Note, ...] = ()) -> None:
        """Ends the reading with a last fault."""
        raise Unreadable([*self.diagnostics, Diagnostic(mark.place(), "", code, message, hint, notes)])

    def stop_too_deep(self, mark: Mark) -> None:
        """Ends the reading because of brackets in brackets, as counted here or, where that is first, by the scanner."""
        self.stop(mark, "yaml-depth",
                  f"found more than {DEEPEST} levels of nesting, expected a scenario of a handful")

    def _report(self, mark: Mark, code: str, message: str, hint: str = "", notes: tuple[Note, ...] = ()) -> None:
        self.diagnostics.append(Diagnostic(mark.place(), "", code, message, hint, notes))

    def _start(self, event: Any) -> None:
        mark = self._mark(event)
        if len(self._open) >= DEEPEST:
            self.stop_too_deep(mark)
        self._tag(event, mark)
        self._open.append(_Open(event, mark))

    def _end(self, event: Any) -> None:
        done = self._open.pop()
        done.mark = self._stretch(done.event.start_mark, event.end_mark)
        node = Node(done.items, done.mark) if _is_list(done.event) else self._mapping(done)
        self._close(done.event, node, done.size)

    def _close(self, event: Any, node: Node, size: int) -> None:
        """Puts a finished node where it belongs."""
        if event.anchor is not None:
            self._anchors[event.anchor] = (node, size)
        self._count(1, node.mark)
        self._put(node, size)

    def _put(self, node: Node, size: int) -> None:
        if self._open:
            self._open[-1].add(node, size)
        else:
            self.root = node

    def _count(self, values: int, mark: Mark) -> None:
        self._values += values
        self.check(self._values <= MOST_VALUES, mark, "yaml-expansion",
                   f"found more than {MOST_VALUES:,} values, expected fewer",
                   "an alias counts as often as it is used")

    def _alias(self, event: Any) -> None:
        mark = self._mark(event)
        is_inside = any(container.event.anchor == event.anchor for container in self._open)
        self.check(not is_inside, mark, "yaml-cycle",
                   f"found the alias *{event.anchor} inside the value it names, expected a finite tree")
        self.check(event.anchor in self._anchors, mark, "yaml-alias",
                   f"found the alias *{event.anchor}, expected an anchor &{event.anchor} before it")
        node, size = self._anchors[event.anchor]
        self._count(size, mark)
        self._put(evolve(node, via=mark), size)

    def _scalar(self, event: Any) -> Any:
        mark = self._mark(event)
        is_text = self._tag(event, mark)
        if is_text or event.style not in (None, ""):
            return event.value
        try:
            return resolve(event.value)
        except ScalarError as error:
            self._report(mark, "yaml-number", str(error))
            return event.value

    def _tag(self, event: Any, mark: Mark) -> bool:
        """Whether a tag makes this a text; every other tag is refused."""
        if event.tag is None or event.tag in _TEXT_TAGS:
            return event.tag is not None
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        self._report(mark, "yaml-tag", f"found the tag {shorten(tag)}, expected no tag")
        return False

    def _mapping(self, done: _Open) -> Node:
        children: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        merges = [node for key, node in done.entries if _is_merge(key)]
        for key, node in done.entries:
            if not _is_merge(key) and self._is_key(key, keys):
                children[key.value] = node
                keys[key.value] = key.mark
        for merged in (found for node in merges for found in self._merged(node)):
            for name, node in merged.value.items():
                children.setdefault(name, evolve(node, via=merged.via))
                keys.setdefault(name, merged.keys[name])
        return Node(children, done.mark, keys)

    def _is_key(self, key: Node, keys: dict[str, Mark]) -> bool:
        if not isinstance(key.value, str):
            hint = f'quote it: "{describe(key.value)}"' if isinstance(key.value, bool | int | float) else ""
            self._report(key.mark, "yaml-key", f"found {describe(key.value)} as a key, expected text", hint)
            return False
        if key.value in keys:
            message = f"found the key '{shorten(key.value)}' again, expected each key once"
            first = Note(keys[key.value].place(), "the first one is here")
            self._report(key.mark, "yaml-duplicate", message, notes=(first,))
            return False
        return True

    def _merged(self, node: Node) -> Iterator[Node]:
        """The mappings that a merge key names, the first with precedence."""
        for item in node.value if isinstance(node.value, list) else [node]:
            if isinstance(item.value, dict):
                yield item
            else:
                self._report(item.mark, "yaml-merge", f"found {describe(item.value)} under <<, expected a mapping")

    def _mark(self, event: Any) -> Mark:
        return self._stretch(event.start_mark, event.end_mark)

    def _stretch(self, start: Any, end: Any) -> Mark:
        """What stands between two marks; of several lines the first."""
        last = end.column if start.line == end.line else len(self.source.lines[start.line].rstrip())
        return Mark(self.source, start.line, start.column, max(1, last - start.column))


def _is_list(event: Any) -> bool:
    return type(event).__name__ == "SequenceStartEvent"


def _is_merge(key: Node) -> bool:
    return bool(key.value == "<<")
