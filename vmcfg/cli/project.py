"""What `check` and `accept` share: going through the selected scenarios, whatever goes wrong with some of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from vmcfg.cli import running
from vmcfg.errors import VmcfgError
from vmcfg.golden import project, selection, text
from vmcfg.golden.project import Project
from vmcfg.golden.verdict import Verdict

Judge = Callable[[Path, str], Verdict]


def each(arguments: argparse.Namespace, judge: Judge) -> tuple[Project, list[tuple[str, Verdict]], int]:
    """Run the selected scenarios and judge each golden text; print verdicts as they come.

    Returns the project, the verdicts by scenario, and the highest exit code of scenarios that could not be run.
    """
    where = project.find(arguments.paths)
    candidates = selection.select(where, arguments.paths, arguments.select, arguments.exclude)
    verdicts: list[tuple[str, Verdict]] = []
    worst = 0
    for candidate in candidates:
        try:
            golden_text = text.render(running.run(candidate.experiment))
            verdict = judge(where.golden_of(candidate.path), golden_text)
        except VmcfgError as error:
            worst = max(worst, error.exit_code)
            verdict = Verdict("invalid" if error.exit_code == 3 else "failed", tuple(str(error).splitlines()))
        tell(candidate.name, verdict)
        verdicts.append((candidate.name, verdict))
    return where, verdicts, worst


def tell(name: str, verdict: Verdict) -> None:
    """Print a verdict; what is wrong goes to standard output too, since it is the result."""
    print(f"{verdict.state:9s} {name}")
    for line in verdict.lines:
        print(f"          {line}")
    sys.stdout.flush()


def is_whole(arguments: argparse.Namespace) -> bool:
    """Tell whether the whole project was meant; only then can a golden be called an orphan."""
    return not (arguments.paths or arguments.select or arguments.exclude)
