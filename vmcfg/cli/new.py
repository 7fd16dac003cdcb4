"""Write a scenario to begin with: complete, commented, ready to be run and changed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from vmcfg import resources
from vmcfg.errors import UsageError

NAME = "new"
HELP = "write a scenario to begin with"
EXAMPLES = """  vmcfg new mine.yaml && vmcfg run mine.yaml
  vmcfg new scenarios/mine.yaml            below scenarios/ it can have a golden
  vmcfg new                                print it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", type=Path, help="the file to make; default: print the text")


def execute(arguments: argparse.Namespace) -> int:
    text = resources.starter()
    if arguments.file is None:
        print(text, end="")
        return 0
    if os.path.lexists(arguments.file):
        raise UsageError(f"{arguments.file}: found something there already, expected a new name")
    from vmcfg.files import write_text

    write_text(arguments.file, text)
    print(f"{arguments.file}: try `vmcfg run {arguments.file}`")
    return 0
