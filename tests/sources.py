"""The package's sources as syntax trees, for tests that hold the code to rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import vmcfg

PACKAGE = Path(vmcfg.__file__).parent


class Source(NamedTuple):
    """One file: its path within the package (`engine/loop.py`), its text and its tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def room(self) -> str:
        """The folder below the package, or the file's own name: `engine`, `errors`."""
        return self.path.split("/")[0].removesuffix(".py")

    @property
    def module(self) -> str:
        """The dotted name, as it is imported."""
        parts = ("vmcfg", *self.path.removesuffix(".py").split("/"))
        return ".".join(part for part in parts if part != "__init__")


class Import(NamedTuple):
    """One name that a file imports from a module, whether at the top, inside a function or for types only."""

    source: Source
    line: int
    module: str

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line} imports {self.module}"


@cache
def sources() -> tuple[Source, ...]:
    """Every Python file of the package, in order of path."""
    paths = sorted(PACKAGE.rglob("*.py"))
    texts = [(path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8")) for path in paths]
    return tuple(Source(path, text, ast.parse(text)) for path, text in texts)


@cache
def imports() -> tuple[Import, ...]:
    """Every import in the package. Submodules imported by `from package import module` are named in full."""
    modules = {source.module for source in sources()}
    return tuple(found for source in sources() for found in _imports_of(source, modules))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Every function, methods and inner ones too."""
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def length(node: ast.FunctionDef) -> int:
    """Lines from `def` to the end, the docstring not counted."""
    lines = node.end_lineno - node.lineno + 1  # type: ignore[operator]
    first = node.body[0]
    if ast.get_docstring(node) and isinstance(first, ast.Expr):
        lines -= first.end_lineno - first.lineno + 1  # type: ignore[operator]
    return lines


def _imports_of(source: Source, modules: set[str]) -> Iterator[Import]:
    package = source.module if source.path.endswith("__init__.py") else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(source, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(filter(None, [_parent(package, node.level), node.module]))
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield Import(source, node.lineno, full if full in modules else base)


def _parent(package: str, level: int) -> str:
    return ".".join(package.split(".")[: len(package.split(".")) - level + 1]) if level else ""
