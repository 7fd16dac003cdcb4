"""What `check` and `accept` share: going through the selected scenarios, whatever goes wrong with some of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from vmcfg.api import Outcome
from vmcfg.cli import running
from vmcfg.errors import VmcfgError
from vmcfg.golden import project, selection, text
from vmcfg.golden.project import Project
from vmcfg.golden.verdict import Verdict

CLAIM_FAILED = 1
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
            outcome = running.run(candidate.experiment)
            verdict = judge(where.golden_of(candidate.path), text.render(outcome))
            if outcome.failed_claims:
                worst = max(worst, CLAIM_FAILED)
                verdict = _refuted(verdict, outcome)
        except VmcfgError as error:
            worst = max(worst, error.exit_code)
            verdict = Verdict("invalid" if error.exit_code == 3 else "failed", tuple(str(error).splitlines()))
        tell(candidate.name, verdict)
        verdicts.append((candidate.name, verdict))
    return where, verdicts, worst


def _refuted(verdict: Verdict, outcome: Outcome) -> Verdict:
    """A claim that fails is said first, and makes a verdict bad whatever the golden says."""
    lines = tuple(f"{judged.place}: claim failed: {judged}" for judged in outcome.failed_claims)
    return Verdict("refuted" if verdict.is_good else verdict.state, lines + verdict.lines)


def tell(name: str, verdict: Verdict) -> None:
    """Print a verdict; what is wrong goes to standard output too, since it is the result."""
    print(f"{verdict.state:9s} {name}")
    for line in verdict.lines:
        print(f"          {line}")
    sys.stdout.flush()


def is_whole(arguments: argparse.Namespace) -> bool:
    """Tell whether the whole project was meant; only then can a golden be called an orphan."""
    return not (arguments.paths or arguments.select or arguments.exclude)
