"""Which scenarios are meant: paths and words such as `tag:tlb`, `name:two_*`, `path:traces/*`.

Scenarios tagged `long` stay out unless they are asked for by tag, name, pattern or as a file. A scenario that cannot
be loaded has tags that nobody knows; a selection by tag keeps it, so that its faults are seen.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from vmcfg.api import Experiment, load
from vmcfg.errors import InvalidScenario, NothingSelected, UsageError
from vmcfg.golden.project import SCENARIOS, Project

LONG = "long"
KINDS = ("tag", "name", "path")


class Candidate:
    """A scenario file of a project, loaded once when its contents are first asked for."""

    def __init__(self, project: Project, path: Path):
        self.path = path
        self.name = project.name(path)
        self._inside = path.relative_to(project.root / SCENARIOS).as_posix()

    @cached_property
    def experiment(self) -> Experiment:
        """The loaded scenario. Raises InvalidScenario; faults show the path relative to where the user is."""
        return load(os.path.relpath(self.path))

    @cached_property
    def tags(self) -> tuple[str, ...] | None:
        try:
            return self.experiment.scenario.metadata.tags
        except InvalidScenario:
            return None

    def matches(self, word: str) -> bool:
        """Tell whether a selecting word means this scenario."""
        kind, _, pattern = word.partition(":")
        if kind == "tag":
            return self.tags is None or any(fnmatchcase(tag, pattern) for tag in self.tags)
        return fnmatchcase(self.path.stem if kind == "name" else self._inside, pattern)


def select(
    project: Project, paths: Sequence[str] = (), words: Sequence[str] = (), excluded: Sequence[str] = ()
) -> list[Candidate]:
    """Return the scenarios meant, sorted by path. Raises UsageError, and NothingSelected if there are none."""
    for word in (*words, *excluded):
        _check(word)
    chosen = [
        candidate
        for candidate in _candidates(project, paths)
        if _is_wanted(candidate, paths, words) and not any(candidate.matches(word) for word in excluded)
    ]
    if not chosen:
        raise NothingSelected("no scenario matches the selection")
    return chosen


def _check(word: str) -> None:
    kind, colon, pattern = word.partition(":")
    if kind not in KINDS or not colon or not pattern:
        raise UsageError(f"--select: found {word!r}, expected tag:WORD, name:PATTERN or path:PATTERN")


def _candidates(project: Project, paths: Sequence[str]) -> list[Candidate]:
    files: set[Path] = set()
    for path in [Path(os.path.abspath(path)) for path in paths] or [project.root / SCENARIOS]:
        files |= set(_files(project, path))
    return [Candidate(project, path) for path in sorted(files)]


def _files(project: Project, path: Path) -> list[Path]:
    scenarios = project.root / SCENARIOS
    if path == project.root:
        return project.scenarios()
    if path != scenarios and scenarios not in path.parents:
        raise UsageError(f"{path}: found outside of {scenarios}, where no golden belongs to it")
    if path.is_dir():
        return project.scenarios(path)
    if not path.is_file():
        raise UsageError(f"{path}: found no such file or folder")
    return [path]


def _is_wanted(candidate: Candidate, paths: Sequence[str], words: Sequence[str]) -> bool:
    if words:
        return any(candidate.matches(word) for word in words)
    is_named = any(Path(os.path.abspath(path)) == candidate.path for path in paths)
    return is_named or LONG not in (candidate.tags or ())
