"""Style as limits that a test enforces: small files, small functions, and a sentence at the door of each."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from sources import Source, functions, length, sources

MOST_LINES = 300  # of a file
MEDIAN, NINTH_DECILE, LONGEST = 10, 32, 70  # lines of a function without its docstring
MAY_BE_LONGER = {
    "engine/turn.py:stretch": "whatever can come between two accesses, in its order",
}
# What every command has, described once where commands are listed.
COMMAND_PROTOCOL = {"add_arguments", "execute"}
UNFINISHED = ("TODO", "FIXME", "XXX", "HACK")


def test_files_are_small() -> None:
    """A file that grows beyond the limit holds two things."""
    lengths = {source.path: len(source.text.splitlines()) for source in sources()}
    assert {} == {path: lines for path, lines in lengths.items() if lines > MOST_LINES}


def test_functions_are_small() -> None:
    """Half of them are of a few lines; a kernel may be longer where splitting it would hide the loop."""
    lengths = {
        f"{source.path}:{function.name}": length(function)
        for source in sources()
        for function in functions(source.tree)
    }
    ordered = sorted(lengths.values())
    assert ordered[len(ordered) // 2] <= MEDIAN
    assert ordered[len(ordered) * 9 // 10] <= NINTH_DECILE
    assert sorted(MAY_BE_LONGER) == sorted(name for name, lines in lengths.items() if lines > LONGEST)


def test_everything_public_says_what_it_is() -> None:
    """Modules, classes, and functions of more than one statement have a docstring."""
    assert [] == [name for source in sources() for name in _silent(source)]


def test_nothing_is_left_unfinished() -> None:
    """What is not built yet is refused by name, not promised in a comment."""
    assert [] == [f"{source.path}: {word}" for source in sources() for word in UNFINISHED if word in source.text]


def _silent(source: Source) -> Iterator[str]:
    """Name what has no docstring and should have one. A file without statements needs none."""
    if source.tree.body and not ast.get_docstring(source.tree):
        yield source.path
    for node in _public(source.tree):
        if not ast.get_docstring(node) and not _speaks_for_itself(node):
            yield f"{source.path} {node.name}"


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef | ast.ClassDef]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def _speaks_for_itself(node: ast.FunctionDef | ast.ClassDef) -> bool:
    return isinstance(node, ast.FunctionDef) and (len(node.body) == 1 or node.name in COMMAND_PROTOCOL)
