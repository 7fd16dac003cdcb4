"""What commands share: options about scenarios, and how a scenario is named on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmcfg import resources
from vmcfg.errors import UsageError
from vmcfg.units import QuantityError, parse_count, parse_pages, parse_share, parse_size

if TYPE_CHECKING:
    from vmcfg.api import Experiment
    from vmcfg.scenario.spec import Scenario

STANDARD_INPUT = "-"
SET_HELP = "change a value: a dotted path and YAML, such as run.accesses=10M or mmu.mode=native; may be repeated"


def add_scenario(parser: argparse.ArgumentParser) -> None:
    """Add the argument FILE and the option --set."""
    help_text = "a scenario file, - for standard input, or the name of a shipped one: quickstart"
    parser.add_argument("file", metavar="FILE", help=help_text)
    add_set(parser)


def add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", metavar="PATH=VALUE", action="append", default=[], help=SET_HELP)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that pick scenarios of a project."""
    parser.add_argument("paths", metavar="PATH", nargs="*", help="scenario files or folders; default: all")
    help_text = "only those that match: tag:WORD, name:PATTERN or path:PATTERN; may be repeated, one match suffices"
    parser.add_argument("--select", metavar="WORD", action="append", default=[], help=help_text)
    parser.add_argument("--exclude", metavar="WORD", action="append", default=[], help="leave out those that match")


def scenario(name: str, sets: Sequence[str] = (), compare: str | None = None) -> Scenario:
    """Load the scenario that an argument means. Raises InvalidScenario."""
    from vmcfg.scenario import load, loads

    if name == STANDARD_INPUT:
        return loads(_standard_input(), "<stdin>", Path.cwd(), sets, compare)
    return load(_shipped(name) or name, sets, compare)


def experiment(name: str, sets: Sequence[str] = (), compare: str | None = None) -> Experiment:
    """Load the scenario that an argument means, ready to be planned and run."""
    from vmcfg.api import Experiment

    return Experiment(scenario(name, sets, compare))


def size(text: str) -> int:
    """Read an option's size, such as 256MiB, for the argument parser."""
    return _quantity(parse_size, text)


def count(text: str) -> int:
    """Read an option's count, such as 10M, for the argument parser."""
    return _quantity(parse_count, text)


def pages(text: str) -> int:
    """Read an option's size as pages of 4 KiB, for the argument parser."""
    return _quantity(parse_pages, text)


def share(text: str) -> int:
    """Read an option's share, such as 1%, as parts per million, for the argument parser."""
    return _quantity(parse_share, text)


def _shipped(name: str) -> Path | None:
    """A bare word that is no file here may name a scenario that comes with vmcfg."""
    if os.path.lexists(name) or os.sep in name or "." in name:
        return None
    path = resources.scenario_directory() / f"{name}.yaml"
    return path if path.is_file() else None


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise UsageError(f"standard input: found the byte 0x{byte:02X}, expected UTF-8 text") from None


def _quantity(parse, text: str) -> int:  # type: ignore[no-untyped-def]
    try:
        return int(parse(text))
    except QuantityError as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise argparse.ArgumentTypeError(f"found '{text}', {error}{hint}") from None
