"""List the scenarios of this project, or those that come with vmcfg, with their titles and tags."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vmcfg import resources
from vmcfg.errors import InvalidScenario, UsageError

if TYPE_CHECKING:
    from vmcfg.scenario.spec import Scenario

NAME = "list"
HELP = "list scenarios with titles and tags"
EXAMPLES = """  vmcfg list
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.scenario import load

    files = _files()
    width = max((len(name) for name in files), default=0)
    for name, path in files.items():
        try:
            described = _describe(load(path))
        except InvalidScenario:
            described = f"(not valid; see vmcfg validate {name})"
        print(f"{name:{width}}  {described}")
    return 0


def _describe(scenario: Scenario) -> str:
    tags = f"  [{', '.join(scenario.metadata.tags)}]" if scenario.metadata.tags else ""
    return scenario.metadata.title + tags


def _files() -> dict[str, Path]:
    """Return files by what to call them: a path in a project, a bare name for what is shipped."""
    from vmcfg.golden.project import find

    try:
        return {os.path.relpath(path): path for path in find(()).scenarios()}
    except UsageError:
        return {path.stem: path for path in sorted(resources.scenario_directory().glob("*.yaml"))}
