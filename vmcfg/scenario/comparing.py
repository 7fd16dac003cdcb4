"""The variants of a comparison: the document once for each value of `compare:`, judged like any other.

A variant differs from the document in one setting and draws the same streams, because these are named after VMs and
nothing else. `--compare` on the command line becomes `compare:` in the document, so that there is one way to check it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve, frozen

from vmcfg.errors import Diagnostic, Note
from vmcfg.scenario.document import Mark, Node, Source, find, replaced
from vmcfg.scenario.edits import Edited, is_path, put
from vmcfg.scenario.reading import Unreadable, read_value, split_lines
from vmcfg.scenario.scalars import describe

OPTION = "--compare"
KEY = "compare"
RESERVED = ("vm", "phase", "measure", "slowdown")  # columns of the table comparison
_NO_SETTINGS = (KEY, "expect", "tables", "metadata", "apiVersion", "kind")  # nothing of the run depends on them


@frozen
class Variant:
    """One value of a comparison: its name, the document with it, the faults of putting it there, where it stands."""

    name: str
    edited: Edited
    diagnostics: list[Diagnostic]
    mark: Mark
    key: Mark  # of the path


def from_command_line(root: Node, text: str) -> Node:
    """Writes `path=value,value` into the document, as if its `compare:` said so. Raises Unreadable."""
    source = Source(OPTION, split_lines(text))
    path, equals, values = text.partition("=")
    if len(source.lines) > 1 or not equals or not is_path(path):
        place = Mark(source, 0, 0, len(source.lines[0])).place()
        message = "found no path=value,value, expected for instance mmu.mode=native,nested"
        raise Unreadable([Diagnostic(place, "", "compare", message)])
    column, items = len(path) + 1, []
    for value in values.split(","):
        items.append(read_value(source, value, column))
        column += len(value) + 1
    key, listed = Mark(source, 0, 0, len(path)), Mark(source, 0, len(path) + 1, max(1, len(values)))
    return replaced(root, [KEY], Node({path: Node(items, listed)}, key, {path: key}), key)


def variants(edited: Edited) -> Iterator[Variant]:
    """The variants of a document whose `compare:` the schema found right."""
    node = find(edited.root, [KEY])
    assert node is not None
    ((path, values),) = node.value.items()
    key = node.keys[path]
    if path.split(".")[0] in _NO_SETTINGS:
        message = f"found {path}, expected a setting that changes the run"
        yield Variant("", edited, [Diagnostic(key.place(), KEY, "compare", message, "for instance mmu.mode")], key, key)
        return
    bare = evolve(edited, root=_without(edited.root, (KEY, "expect")))
    names: set[str] = set()
    for value in values.value:
        name = value.value if isinstance(value.value, str) else describe(value.value)
        fault = _fault(name, names)
        if fault:
            diagnostic = Diagnostic(value.mark.place(), f"{KEY}.{path}", "compare", *fault)
            yield Variant(name, bare, [diagnostic], value.mark, key)
        else:
            yield Variant(name, *put(bare, path, value, key), value.mark, key)
        names.add(name)


def in_variant(diagnostics: Iterable[Diagnostic], variant: Variant) -> Iterator[Diagnostic]:
    """Says of faults elsewhere in which variant they are."""
    place = variant.mark.place()
    line = variant.key.place()._replace(column=0, width=0)
    for diagnostic in diagnostics:
        is_here = diagnostic.place._replace(column=0, width=0) == line
        notes = () if is_here else (Note(place, "in the variant with this value"),)
        yield diagnostic._replace(notes=diagnostic.notes + notes)


def _fault(name: str, names: set[str]) -> tuple[str, str] | None:
    if name in RESERVED or name in names:
        return f"found a second column '{name}', expected each name once", "values name the columns of comparison"
    if not name or any(letter.isspace() for letter in name):
        return f"found '{name}', expected one word", "values name the columns of comparison"
    return None


def _without(root: Node, names: tuple[str, ...]) -> Node:
    kept = {name: child for name, child in root.value.items() if name not in names}
    return evolve(root, value=kept, keys={name: root.keys[name] for name in kept})
