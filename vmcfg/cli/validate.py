"""Check scenarios without running them: every fault of every file is shown, with its place and a hint."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from vmcfg.cli import inputs
from vmcfg.errors import InvalidScenario, NothingSelected

NAME = "validate"
HELP = "check scenarios without running them"
EXAMPLES = """  vmcfg validate scenarios/quickstart.yaml
  vmcfg validate scenarios                 all scenarios of a folder
  vmcfg validate - < scenario.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="scenario files or folders, - for standard input")
    inputs.add_set(parser)


def execute(arguments: argparse.Namespace) -> int:
    is_valid = [_validate(name, arguments.set) for name in _names(arguments.files)]
    return 0 if all(is_valid) else InvalidScenario.exit_code


def _validate(name: str, sets: Sequence[str]) -> bool:
    try:
        inputs.scenario(name, sets)
    except InvalidScenario as faults:
        sys.stdout.flush()
        print(faults, file=sys.stderr)
        return False
    print(f"{name}: ok")
    return True


def _names(files: Sequence[str]) -> Iterator[str]:
    """Yield the files, and those of the folders, sorted."""
    for name in files:
        if not os.path.isdir(name):
            yield name
            continue
        found = sorted(str(path) for path in Path(name).rglob("*.yaml") if path.is_file())
        if not found:
            raise NothingSelected(f"{name}: found no *.yaml file in this folder")
        yield from found
