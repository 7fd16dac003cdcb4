"""The Document: a YAML tree that remembers where each key and value stands.

Positions survive everything that happens to a scenario before it is checked (aliases, merge keys, `--set`), so that
every later error, also one between two lines, can show what the user wrote. Trees are never changed in place:
an alias shares its node with the anchor, and an edit of one must not reach the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve, field, frozen

from vmcfg.errors import Note, Place

Step = str | int  # a key of a mapping, an index of a list


@frozen
class Source:
    """A text that values come from: a file, or the text of one `--set`."""

    name: str
    lines: tuple[str, ...]
    first_line: int = 1  # a `--set` is numbered by its place on the command line


@frozen
class Mark:
    """A stretch of one line; `line` counts from 0 inside the source, `column` from 0."""

    source: Source = field(repr=False)
    line: int
    column: int
    width: int

    def place(self) -> Place:
        """Return where that is, for people: lines and columns from 1, with the line itself."""
        lines = self.source.lines
        snippet = lines[self.line] if self.line < len(lines) else ""
        return Place(self.source.name, self.line + self.source.first_line, self.column + 1, self.width, snippet)


@frozen
class Node:
    """A value: a scalar, a list of nodes, or a mapping of names to nodes with the marks of its keys."""

    value: Any
    mark: Mark
    keys: dict[str, Mark] = field(factory=dict)
    via: Mark | None = None  # the alias through which this value got here


class Decimal(float):
    """A number with a point or exponent; keeps the digits as written, because floats are not exact."""

    text: str

    def __new__(cls, text: str) -> Decimal:
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


def plain(node: Node) -> Any:
    """The value as dicts, lists and scalars, which is what the schema checks."""
    if isinstance(node.value, dict):
        return {name: plain(child) for name, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def find(root: Node, path: Sequence[Step]) -> Node | None:
    """The node at a path, or None where the document has nothing."""
    node: Node | None = root
    for step in path:
        node = _child(node, step) if node is not None else None
    return node


def key_place(root: Node, path: Sequence[Step]) -> Place:
    """Where the key of a path stands; for an item of a list, where the item does."""
    parent = find(root, path[:-1]) if path else None
    if parent is not None and isinstance(path[-1], str) and path[-1] in parent.keys:
        return parent.keys[path[-1]].place()
    node = find(root, path)
    return node.mark.place() if node is not None else key_place(root, path[:-1])


def value_place(root: Node, path: Sequence[Step]) -> Place:
    """Where the value of a path stands; its key if there is nothing behind it, else the nearest key above it."""
    node = find(root, path)
    if node is None:
        return key_place(root, path[:-1])
    return node.mark.place() if node.value is not None else key_place(root, path)


def alias_notes(root: Node, path: Sequence[Step]) -> tuple[Note, ...]:
    """Says through which aliases a value at an anchor came to stand at this path."""
    nodes = (find(root, path[:depth]) for depth in range(len(path) + 1))
    return tuple(Note(node.via.place(), "used here") for node in nodes if node is not None and node.via is not None)


def replaced(root: Node, path: Sequence[Step], new: Node, key: Mark) -> Node:
    """A copy of the tree with another value at the path, whose parent must exist."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(root.value, list):
        assert isinstance(step, int)
        items = list(root.value)
        items[step] = replaced(items[step], rest, new, key)
        return evolve(root, value=items)
    assert isinstance(step, str)
    child = replaced(root.value[step], rest, new, key) if rest else new
    keys = {**root.keys, step: root.keys.get(step, key) if rest else key}
    return evolve(root, value={**root.value, step: child}, keys=keys)


def dotted(path: Sequence[Step]) -> str:
    return ".".join(map(str, path))


def _child(node: Node, step: Step) -> Node | None:
    if isinstance(node.value, dict):
        child: Node | None = node.value.get(step)
        return child
    if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        item: Node = node.value[step]
        return item
    return None
