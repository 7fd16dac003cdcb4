"""List the scenarios of this project, or those that come with vmcfg, with titles and tags; or the processors.

Of a processor's figures, such as sizes and costs, some are printed or measured and some only assumed; its file says
which and why.
"""

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
HELP = "list scenarios with titles and tags, or processors"
EXAMPLES = """  vmcfg list
  vmcfg list profiles
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("scenarios", "profiles"), nargs="?", default="scenarios",
                        help="default: scenarios")  # fmt: skip


def execute(arguments: argparse.Namespace) -> int:
    if arguments.what == "profiles":
        _list_profiles()
    else:
        _list_scenarios()
    return 0


def _list_scenarios() -> None:
    from vmcfg.scenario import load

    files = _files()
    width = max((len(name) for name in files), default=0)
    for name, path in files.items():
        try:
            described = _describe(load(path))
        except InvalidScenario:
            described = f"(not valid; see vmcfg validate {name})"
        print(f"{name:{width}}  {described}")


def _list_profiles() -> None:
    rows = [("profile", "assumed", "features", "processor"), *map(_profile, resources.profile_names())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _profile(name: str) -> tuple[str, str, str, str]:
    from vmcfg.scenario import profiles

    profile = profiles.load(name)
    assumed = len(profile.assumed)
    features = " ".join(profile.figures["features"]) or "none"
    return name, f"{assumed} of {assumed + len(profile.sourced)}", features, profile.title


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
