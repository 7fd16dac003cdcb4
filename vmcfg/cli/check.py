"""Run scenarios and compare their tables and digests with the accepted ones, to the last digit.

Missing goldens fail, and so do goldens without a scenario when the whole project is checked. Scenarios tagged long
are left out unless they are selected. A difference leaves the new text beside the golden, as *.new."""

from __future__ import annotations

import argparse

from vmcfg.cli import inputs

NAME = "check"
HELP = "compare results with their goldens"
EXAMPLES = """  vmcfg check
  vmcfg check scenarios/quickstart.yaml
  vmcfg check --select tag:tlb
  vmcfg check --select tag:long
"""
DIFFERS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs.add_selection(parser)


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.cli.project import each, is_whole, tell
    from vmcfg.golden.verdict import Verdict, judge

    project, verdicts, worst = each(arguments, judge)
    orphans = project.orphans() if is_whole(arguments) else []
    for golden in orphans:
        tell(project.name(golden), Verdict("orphan", ("there is no such scenario; `vmcfg accept` removes the file",)))
    wrong = sum(not verdict.is_good for _, verdict in verdicts)
    differing = sum(verdict.state in ("differs", "missing") for _, verdict in verdicts)
    print(f"{len(verdicts) - wrong} of {len(verdicts)} scenarios are as accepted" + _hint(differing))
    return max(worst, DIFFERS if wrong or orphans else 0)


def _hint(wrong: int) -> str:
    return "; if the new results are right: vmcfg accept" if wrong else ""
