"""What can go wrong, as an outline: one class per exit code, and the one place that lays out a report.

A `Diagnostic` is data (place, path, code, message, hint), so that the same fault can be printed for people or
handed to a tool. `render` fixes the text form:

    file:line:column: error: path: found this, expected that
      4 |     memroy: 4GiB
        |     ^^^^^^ did you mean 'memory'?
    1 error

Plain tuples and no third-party package, because every command imports this file, also those that only print help.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

SHOWN_DIAGNOSTICS = 100  # a report longer than this helps nobody; the summary still counts all
SNIPPET_COLUMNS = 110


class Place(NamedTuple):
    """A stretch of one line of a file; line and column count from 1, the snippet is the whole line."""

    file: str
    line: int
    column: int
    width: int
    snippet: str


class Note(NamedTuple):
    """A second place that a fault is about, such as the host's memory that a VM does not fit into."""

    place: Place
    text: str


class Diagnostic(NamedTuple):
    """One fault of a scenario. `code` is stable and meant for tools, `path` is dotted as in `--set`."""

    place: Place
    path: str
    code: str
    message: str
    hint: str = ""
    notes: tuple[Note, ...] = ()


class VmcfgError(Exception):
    """Everything that vmcfg refuses or fails at; `exit_code` is what the command returns."""

    exit_code = 1


class UsageError(VmcfgError):
    """The command line cannot be understood."""

    exit_code = 2


class InvalidScenario(VmcfgError):
    """The scenario is not valid; `diagnostics` holds all its faults in order of position."""

    exit_code = 3

    def __init__(self, diagnostics: Iterable[Diagnostic]):
        self.diagnostics = tuple(sorted(set(diagnostics), key=_by_position))
        super().__init__(render(self.diagnostics))


class RunFailed(VmcfgError):
    """A valid scenario could not be run to its end; `code` says why, such as `out_of_frames`."""

    exit_code = 4

    def __init__(self, code: str, message: str):
        self.code = code
        super().__init__(message)


class NothingSelected(VmcfgError):
    """The selection matched nothing, which must never look like success."""

    exit_code = 5


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """Returns the report for people: each fault with its source line, then how many there are."""
    lines = [line for diagnostic in diagnostics[:SHOWN_DIAGNOSTICS] for line in _layout(diagnostic)]
    hidden = len(diagnostics) - SHOWN_DIAGNOSTICS
    lines.append(f"{len(diagnostics)} error{'s' * (len(diagnostics) != 1)}" + f", {hidden} not shown" * (hidden > 0))
    return "\n".join(lines)


def _layout(diagnostic: Diagnostic) -> Iterator[str]:
    subject = f"{diagnostic.path}: " if diagnostic.path else ""
    yield _headline(diagnostic.place, "error", subject + diagnostic.message)
    yield from _snippet(diagnostic.place, diagnostic.hint)
    for note in diagnostic.notes:
        yield _headline(note.place, "note", note.text)
        yield from _snippet(note.place, "")


def _headline(place: Place, severity: str, text: str) -> str:
    return _printable(f"{place.file}:{place.line}:{place.column}: {severity}: {text}")


def _snippet(place: Place, hint: str) -> Iterator[str]:
    if not place.snippet and not hint:  # a file that cannot be read has no line to show
        return
    line, column, width = _window(place)
    gutter = f"{place.line:3d}"
    yield f"{gutter} | {_printable(line)}".rstrip()
    padding = "".join(" " * _columns(letter) for letter in line[: column - 1])
    carets = "^" * max(1, sum(map(_columns, line[column - 1 : column - 1 + width])))
    yield f"{' ' * len(gutter)} | {padding}{carets} {_printable(hint)}".rstrip()


def _window(place: Place) -> tuple[str, int, int]:
    """Cuts a very long line to the part around the fault: (text, column, width)."""
    line = place.snippet
    if len(line) <= SNIPPET_COLUMNS:
        return line, place.column, place.width
    start = max(0, min(place.column - 1 - SNIPPET_COLUMNS // 2, len(line) - SNIPPET_COLUMNS))
    shown = "…" * (start > 0) + line[start : start + SNIPPET_COLUMNS] + "…" * (start + SNIPPET_COLUMNS < len(line))
    column = place.column - start + (start > 0)
    return shown, column, min(place.width, len(shown) - column + 1)


def _columns(letter: str) -> int:
    """Terminal columns of a letter, so that carets stand under wide and combining ones too."""
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _printable(text: str) -> str:
    """Replaces what could move the cursor or colour the terminal; a file must not write on it freely."""
    return "".join(letter if letter.isprintable() else " " if letter == "\t" else "�" for letter in text)


def _by_position(diagnostic: Diagnostic) -> tuple[bool, str, int, int, str, str]:
    place = diagnostic.place
    return place.file == "--set", place.file, place.line, place.column, diagnostic.path, diagnostic.message
