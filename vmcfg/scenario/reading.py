"""Text to Document: strict YAML 1.2, one document, positions kept. The one file that knows PyYAML.

Nodes are built from PyYAML's events (see `composing`) and not by its composer or constructor: the composer recurses
in C and dies of 100,000 brackets, the constructor keeps the last of two equal keys. Events arrive one by one, so
depth, aliases and size are checked before anything is built of them.
"""

from __future__ import annotations

import re

import yaml

from vmcfg.errors import Diagnostic
from vmcfg.scenario.composing import Composer, Unreadable
from vmcfg.scenario.document import Mark, Node, Source

LARGEST_TEXT = 1 << 20  # bytes

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def read(source: Source, text: str) -> tuple[Node, list[Diagnostic]]:
    """Reads one YAML document. Returns the tree and the faults beside which it still has a meaning.

    Raises Unreadable for all others.
    """
    composer = Composer(source)
    start = Mark(source, 0, 0, 1)
    composer.check(len(text) <= LARGEST_TEXT, start, "yaml-size",
                   f"found {len(text):,} characters, expected at most {LARGEST_TEXT:,}")
    strange = _UNPRINTABLE.search(text)
    if strange:
        composer.stop(_mark_at(source, text, strange.start()), "yaml-character",
                      f"found the character U+{ord(strange[0]):04X}, expected printable text")
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            composer.take(event)
    except yaml.MarkedYAMLError as error:
        mark = _mark_of(source, error)
        composer.stop(mark, "yaml-syntax", *_explain(error, mark))
    composer.check(composer.root is not None, start, "yaml-empty", "found an empty document, expected a scenario")
    assert composer.root is not None
    return composer.root, composer.diagnostics


def split_lines(text: str) -> tuple[str, ...]:
    """Cuts a text at what YAML counts as line breaks."""
    return tuple(_BREAK.split(text))


def read_value(source: Source, text: str, column: int) -> Node:
    """Reads the value of a `--set`, which stands at a column of its source. Raises Unreadable."""
    if not text.strip():
        return Node(None, Mark(source, 0, column, 1))
    node, diagnostics = read(source, " " * column + text)
    if diagnostics:
        raise Unreadable(diagnostics)
    return node


def _mark_of(source: Source, error: yaml.MarkedYAMLError) -> Mark:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Mark(source, 0, 0, 1)
    line = min(mark.line, max(0, len(source.lines) - 1))
    column = mark.column if line == mark.line else len(source.lines[line])
    return Mark(source, line, column, 1)


def _mark_at(source: Source, text: str, position: int) -> Mark:
    lines = split_lines(text[:position])
    return Mark(source, len(lines) - 1, len(lines[-1]), 1)


def _explain(error: yaml.MarkedYAMLError, mark: Mark) -> tuple[str, str]:
    """A sentence and a hint in place of the scanner's own words, where those are known to puzzle."""
    problem = error.problem or error.context or "it cannot be read"
    line = mark.source.lines[mark.line] if mark.line < len(mark.source.lines) else ""
    letter = line[mark.column : mark.column + 1]
    if "cannot start any token" in problem and letter == "\t":
        return "found a tab, expected spaces", "YAML indents with spaces only"
    if "cannot start any token" in problem:
        return f"found {letter} at the start of a value, expected text or a number", "quote the value"
    if "mapping values are not allowed" in problem:
        return "found a second ': ' where a value stands, expected one value", "quote it, or indent what belongs below"
    context = f" {error.context}" if error.problem and error.context else ""
    return f"this is not YAML: {problem}{context}", ""
