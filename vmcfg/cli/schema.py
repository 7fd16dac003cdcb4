"""Print the language of scenarios: every key with its meaning and default, made from the schemas themselves.

JSON is what editors read (JSON Schema 2020-12); Markdown is for people.
"""

from __future__ import annotations

import argparse

from vmcfg import resources
from vmcfg.errors import NothingSelected

NAME = "schema"
HELP = "print the keys of scenarios, with meanings and defaults"
EXAMPLES = """  vmcfg schema                             the whole reference
  vmcfg schema host
  vmcfg schema scenario --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("subject", metavar="SUBJECT", nargs="?", help="one part, such as host; default: all")
    parser.add_argument("--format", choices=("markdown", "json"), default="markdown", help="default: markdown")


def execute(arguments: argparse.Namespace) -> int:
    subjects = resources.schema_names()
    if arguments.subject is not None and arguments.subject not in subjects:
        from vmcfg.scenario.suggest import did_you_mean

        raise NothingSelected(f"found no schema '{arguments.subject}'; {did_you_mean(arguments.subject, subjects)}")
    print(_json(arguments.subject) if arguments.format == "json" else _markdown(arguments.subject), end="")
    return 0


def _json(subject: str | None) -> str:
    """One file as it is; the scenario's, which refers to the others, where none is named."""
    return (resources.schema_directory() / f"{subject or 'scenario'}.schema.json").read_text("utf-8")


def _markdown(subject: str | None) -> str:
    from vmcfg.scenario import reference

    return reference.markdown([subject] if subject else reference.ORDER)
