"""Collects faults beside the document that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import define, field

from vmcfg.errors import Diagnostic, Note, Place
from vmcfg.scenario.document import Node, Step, alias_notes, dotted, find, key_place, value_place

Path = tuple[Step, ...]


@define
class Findings:
    """The faults found so far; each is reported once, however many VMs run into it."""

    root: Node
    diagnostics: list[Diagnostic] = field(factory=list)
    _known: set[tuple[Place, str, str]] = field(factory=set)
    _misread: set[tuple[int, int]] = field(factory=set)

    def add(self, path: Path, code: str, message: str, hint: str = "", also: Sequence[tuple[Path, str]] = (),
            at_key: bool = False) -> None:
        """Reports a fault at the value of a path (or its key), and other written lines that have to do with it."""
        place = key_place(self.root, path) if at_key else value_place(self.root, path)
        notes = tuple(Note(value_place(self.root, other), text) for other, text in also if find(self.root, other))
        self.extend([Diagnostic(place, dotted(path), code, message, hint, notes + alias_notes(self.root, path))])

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Takes faults that are new; where YAML itself was wrong, what follows from it is none."""
        for diagnostic in diagnostics:
            place, code = diagnostic.place, diagnostic.code
            is_consequence = (place.line, place.column) in self._misread and not code.startswith("yaml-")
            if is_consequence or (place, code, diagnostic.message) in self._known:
                continue
            self._known.add((place, code, diagnostic.message))
            if code.startswith("yaml-"):
                self._misread.add((place.line, place.column))
            self.diagnostics.append(diagnostic)
