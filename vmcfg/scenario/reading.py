"""Text to Document: strict YAML 1.2, one document, positions kept. The one file that knows PyYAML.

Nodes are built from PyYAML's events (see `composing`) and not by its composer or constructor: the composer recurses
in C and dies of 100,000 brackets, the constructor keeps the last of two equal keys. Events arrive one by one, so
depth, aliases and size are checked before anything is built of them.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from vmcfg.errors import Diagnostic, Note
from vmcfg.scenario.composing import Composer, Unreadable
from vmcfg.scenario.document import Mark, Node, Source

LARGEST_TEXT = 1 << 20  # bytes

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = yaml.reader.Reader.NON_PRINTABLE  # the expression costs milliseconds to compile; it is there already


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
        mark = _mark(source, error.problem_mark or error.context_mark)
        if "nesting depth" in (error.problem or ""):  # libyaml has a limit of its own since 0.2.6, and reads ahead
            composer.stop_too_deep(mark)
        opened = _mark(source, error.context_mark or error.problem_mark)
        notes = (Note(opened.place(), "what is not closed begins here"),) if opened.line != mark.line else ()
        composer.stop(mark, "yaml-syntax", *_explain(error, mark), notes)
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


def _mark(source: Source, mark: Any) -> Mark:
    """Where PyYAML points; at the end of the last line with text if that is behind it."""
    if mark is None:
        return Mark(source, 0, 0, 1)
    if any(line.strip() for line in source.lines[mark.line :]):
        return Mark(source, mark.line, mark.column, 1)
    last = max((number for number, line in enumerate(source.lines) if line.strip()), default=0)
    return Mark(source, last, len(source.lines[last]), 1)


def _mark_at(source: Source, text: str, position: int) -> Mark:
    lines = split_lines(text[:position])
    return Mark(source, len(lines) - 1, len(lines[-1]), 1)


def _explain(error: yaml.MarkedYAMLError, mark: Mark) -> tuple[str, str]:
    """A sentence and a hint in place of the scanner's own words, as far as they are known."""
    problem = error.problem or error.context or "it cannot be read"
    letter = mark.source.lines[mark.line][mark.column : mark.column + 1]
    is_last = not any(line.strip() for line in mark.source.lines[mark.line + 1 :])
    found = repr(letter) if letter else "the end of the text" if is_last else "the end of the line"
    if letter == "\t":
        return "found a tab, expected spaces", "YAML indents with spaces only"
    if letter == ":":
        return "found a second ': ' where a value stands, expected one value", "quote a text that holds ': '"
    if "cannot start any token" in problem:
        return f"found {found} at the start of a value, expected text or a number", "quote the value"
    if "did not find expected" in problem:
        expected = problem.partition("did not find expected ")[2].strip("<>")
        return f"found {found}, expected {expected}", "is the line indented as those above it?" * ("block" in expected)
    if "could not find expected ':'" in problem:
        return f"found {found}, expected ':' after the key before it", "is it indented as it should be?"
    if "unexpected end of stream" in problem:
        return "found the end of the text, expected a closing quote", ""
    return f"this is not YAML: {problem}", ""
