"""Judges what the gate has covered: how much of the front wing, and of all the rest outside kernels.

    python -m pytest --cov && python tests/coverage_gate.py        exit code 1 if a share is too small

Lines and branches count together, as coverage counts them. Kernels are no part of it: they run compiled, and are held
to naive oracles instead. `pyproject.toml` says by which words they are known.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import NamedTuple

from coverage import Coverage
from sources import PACKAGE, sources
from test_layering import FRONT

LEAST = {"front wing": 95, "rest outside kernels": 90}  # percent


class Covered(NamedTuple):
    """What of a file could be reached, and what was: lines and branches."""

    path: str
    there: int
    reached: int

    @property
    def wing(self) -> str:
        room = self.path.split("/")[0].removesuffix(".py")
        return "front wing" if room in FRONT else "rest outside kernels"


def measured() -> list[Covered]:
    """Read the figures of every file of the package from the last run's data."""
    coverage = Coverage(config_file=str(PACKAGE.parent / "pyproject.toml"))
    coverage.load()
    return [_covered(coverage, source.path) for source in sources()]


def verdict(files: Iterable[Covered]) -> tuple[list[str], bool]:
    """Return a line for each wing, with its least covered files when it falls short, and whether none does."""
    files, lines, is_enough = list(files), [], True
    for wing, least in LEAST.items():
        own = [file for file in files if file.wing == wing]
        there, reached = sum(file.there for file in own), sum(file.reached for file in own)
        lines.append(f"{wing}: {100 * reached / there:.2f} % of {there} lines and branches, expected {least} %")
        if 100 * reached < least * there:
            is_enough = False
            worst = sorted(own, key=lambda file: file.reached - file.there)[:5]
            lines += [f"    {file.path}: {file.there - file.reached} of {file.there} not reached" for file in worst]
    return lines, is_enough


def _covered(coverage: Coverage, path: str) -> Covered:
    file = str(PACKAGE / path)
    _, lines, _, missed, _ = coverage.analysis2(file)
    branches = coverage.branch_stats(file).values()
    there = len(lines) + sum(ways for ways, _ in branches)
    return Covered(path, there, len(lines) - len(missed) + sum(taken for _, taken in branches))


if __name__ == "__main__":
    lines, is_enough = verdict(measured())
    print("\n".join(lines))
    sys.exit(0 if is_enough else 1)
