"""The gate on coverage: it leaves out kernels and nothing else, and it can fail."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from functools import cache

import pytest
from coverage import Coverage
from coverage_gate import Covered, verdict
from sources import PACKAGE, Source, functions, sources

DOORS = {"kernel", "part", "entry"}  # of `vmcfg.jit`


@pytest.mark.parametrize("source", sources(), ids=lambda source: source.path)
def test_coverage_leaves_out_kernels_and_nothing_else(source: Source) -> None:
    """Every function behind a door of `jit`, whole; what is there for types alone is left out by coverage itself."""
    _, counted, left_out, _, _ = _coverage().analysis2(str(PACKAGE / source.path))
    kernels = _lines(function for function in functions(source.tree) if DOORS & _decorators(function))
    for_types = _lines(node for node in ast.walk(source.tree) if _is_for_types(node))
    assert set() == set(counted) & kernels
    others = set(left_out) - kernels - for_types
    assert [] == [text for line, text in enumerate(source.text.splitlines(), 1) if line in others and text]


@pytest.mark.slow
def test_slow_tests_are_not_watched() -> None:
    """Whether workers run them or not: naive loops, and compilation, would take several times as long."""
    assert "coverage" not in type(sys.gettrace()).__module__


def test_a_wing_that_falls_short_is_named_with_its_worst_files() -> None:
    """One file of each wing: 94 of 100 are too few in front, 90 of 100 enough behind."""
    lines, is_enough = verdict([Covered("units.py", 100, 94), Covered("plan/show.py", 100, 90)])
    assert not is_enough
    assert [
        "front wing: 94.00 % of 100 lines and branches, expected 95 %",
        "    units.py: 6 of 100 not reached",
        "rest outside kernels: 90.00 % of 100 lines and branches, expected 90 %",
    ] == lines


def test_enough_is_enough() -> None:
    """Shares are of a wing, not of a file."""
    files = [Covered("scenario/build.py", 900, 900), Covered("units.py", 100, 50), Covered("api.py", 10, 9)]
    assert verdict(files)[1]


@cache
def _coverage() -> Coverage:
    """Coverage as the project sets it, with nothing measured."""
    return Coverage(config_file=str(PACKAGE.parent / "pyproject.toml"), data_file=None)


def _lines(nodes: Iterable[ast.stmt]) -> set[int]:
    """Return the lines of statements, with those of their decorators."""
    return {
        line
        for node in nodes
        for first in [node.lineno, *(door.lineno for door in getattr(node, "decorator_list", ()))]
        for line in range(first, (node.end_lineno or first) + 1)
    }


def _decorators(function: ast.FunctionDef) -> set[str]:
    return {ast.unparse(door) for door in function.decorator_list}


def _is_for_types(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return ast.unparse(node.test) == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef) and "overload" in _decorators(node)
