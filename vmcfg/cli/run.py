"""Run a scenario and show its tables. The same file gives the same digits on every machine.

Claims of the scenario (`expect:`) are judged by every run and shown in the table claims; a failed one is exit code 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmcfg.cli import inputs
from vmcfg.errors import UsageError

if TYPE_CHECKING:
    from vmcfg.api import Outcome
    from vmcfg.tables.formats import Report

NAME = "run"
HELP = "run a scenario and show its tables"
EXAMPLES = """  vmcfg run scenarios/quickstart.yaml
  vmcfg run scenarios/quickstart.yaml --set mmu.mode=native
  vmcfg run scenarios/quickstart.yaml --compare mmu.mode=native,nested
  vmcfg run scenarios/quickstart.yaml --format json | python -m json.tool
  vmcfg run scenarios/two_vms.yaml --format csv --out results
"""
CLAIM_FAILED = 1
TIMED = (
    "vmcfg: work that ends by time is not the same in all variants: its totals get no slowdown, "
    "figures per access and per walk do"
)
FORMATS = ("table", "json", "csv", "markdown")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs.add_scenario(parser)
    help_text = "run variants on the same accesses and compare them, such as mmu.mode=native,nested"
    parser.add_argument("--compare", metavar="PATH=VALUES", help=help_text)
    parser.add_argument("--format", choices=FORMATS, default="table", help="how to write the tables; default: table")
    parser.add_argument("--tables", metavar="NAMES", type=_names, default=[], help="show these, such as vms,time")
    parser.add_argument("--out", metavar="DIR", type=Path, help="write files there instead of printing")
    parser.add_argument(
        "--check-invariants", action="store_true", help="check the machine's invariants at the end of each epoch; slow"
    )
    parser.add_argument("--limit", metavar="SIZE", type=inputs.size, help="most memory; default: 75%% of the machine's")
    help_text = "most touches, and most slices in which time only passes; default: 100G"
    parser.add_argument("--limit-accesses", metavar="COUNT", type=inputs.count, help=help_text)


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.cli import running
    from vmcfg.tables import formats

    experiment = inputs.experiment(arguments.file, arguments.set, arguments.compare)
    _check_names(arguments.tables, experiment.tables())
    outcome = running.run(
        experiment,
        check_invariants=arguments.check_invariants,
        limit_bytes=arguments.limit,
        limit_touches=arguments.limit_accesses,
    )
    report = outcome.report(arguments.tables)
    if arguments.out is not None:
        _write(arguments.out, report, arguments.format)
    elif arguments.format == "table":
        print(formats.as_table(report, _terminal_width()), end="")
    else:
        print(formats.FORMATS[arguments.format](report), end="")
    return _tell(outcome)


def _check_names(asked: Sequence[str], known: Sequence[str]) -> None:
    for name in asked:
        if name not in known:
            raise UsageError(f"--tables: found '{name}', expected one of {', '.join(known)}")


def _tell(outcome: Outcome) -> int:
    """Say what a reader of the tables must know besides; return the exit code."""
    from vmcfg.tables.comparison import has_timed_work

    sys.stdout.flush()
    if outcome.error:
        print(f"vmcfg: the run failed, as expected ({outcome.error.code}): {outcome.error}", file=sys.stderr)
    if any(has_timed_work(variant.scenario) for variant in outcome.variants.values()):
        print(TIMED, file=sys.stderr)
    for judged in outcome.failed_claims:
        print(f"vmcfg: {judged.place}: claim failed: {judged}", file=sys.stderr)
    return CLAIM_FAILED if outcome.failed_claims else 0


def _write(folder: Path, report: Report, format_name: str) -> None:
    from vmcfg.files import write_texts
    from vmcfg.tables.formats import files

    name_to_text = files(report, format_name)
    write_texts(folder, name_to_text)
    for name in name_to_text:
        print(folder / name)


def _terminal_width() -> int | None:
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]
