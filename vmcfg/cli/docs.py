"""Print a page of the documentation that comes with vmcfg, or say which pages there are."""

from __future__ import annotations

import argparse

from vmcfg import resources
from vmcfg.errors import NothingSelected

NAME = "docs"
HELP = "print a page of the documentation"
EXAMPLES = """  vmcfg docs                               the topics
  vmcfg docs semantics | less
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="a page; default: list them")


def execute(arguments: argparse.Namespace) -> int:
    pages = resources.pages()
    if arguments.topic is None:
        width = max(map(len, pages))
        for topic, text in pages.items():
            print(f"{topic:{width}}  {text.splitlines()[0].lstrip('# ')}")
        return 0
    if arguments.topic not in pages:
        from vmcfg.scenario.suggest import did_you_mean

        raise NothingSelected(f"found no topic '{arguments.topic}'; {did_you_mean(arguments.topic, pages)}")
    print(pages[arguments.topic], end="")
    return 0
