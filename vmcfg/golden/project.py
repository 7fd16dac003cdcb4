"""Where things are: the project root is the nearest folder upwards that has `scenarios/`; `golden/` mirrors it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from vmcfg.errors import UsageError

SCENARIOS, GOLDEN = "scenarios", "golden"


@frozen
class Project:
    """A folder with scenarios and their goldens."""

    root: Path  # absolute

    def scenarios(self, below: Path | None = None) -> list[Path]:
        """Return all scenario files in a folder of the project, sorted by path."""
        folder = below or self.root / SCENARIOS
        return sorted(path for path in folder.rglob("*.yaml") if path.is_file())

    def golden_of(self, scenario: Path) -> Path:
        """Return where a scenario's golden file is or would be."""
        inside = scenario.relative_to(self.root / SCENARIOS)
        return self.root / GOLDEN / inside.with_suffix(".txt")

    def scenario_of(self, golden: Path) -> Path:
        """Return the scenario that a golden file belongs to, whether or not it exists."""
        inside = golden.relative_to(self.root / GOLDEN)
        return self.root / SCENARIOS / inside.with_suffix(".yaml")

    def orphans(self) -> list[Path]:
        """Return the golden files without a scenario, sorted by path."""
        goldens = sorted((self.root / GOLDEN).rglob("*.txt"))
        return [golden for golden in goldens if not self.scenario_of(golden).is_file()]

    def name(self, path: Path) -> str:
        """Return a path as people write it in this project: relative to its root, with slashes."""
        return path.relative_to(self.root).as_posix()


def find(paths: Sequence[str], start: Path | None = None) -> Project:
    """Return the project of the given paths, or of the folder `start`. Raises UsageError."""
    given = [Path(os.path.abspath(path)) for path in paths]
    roots = {_root_of(path) for path in given} if given else {_root_of(start or Path.cwd())}
    if len(roots) > 1:
        raise UsageError("the paths belong to several projects: " + ", ".join(sorted(map(str, roots))))
    return Project(roots.pop())


def _root_of(path: Path) -> Path:
    for folder in (path, *path.parents):
        if (folder / SCENARIOS).is_dir():
            return folder
    expected = f"expected a project: scenarios lie below {SCENARIOS}/, and their goldens come to lie below {GOLDEN}/"
    raise UsageError(f"{path}: found no folder {SCENARIOS}/ there or in a folder above, {expected}")
