"""Run scenarios and write their results as goldens: from now on `check` expects them.

Says what changes. Refused where CI is set, because it takes a person to decide that a new result is right. When the
whole project is accepted, goldens whose scenario is gone are removed."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from vmcfg.cli import inputs

if TYPE_CHECKING:
    from vmcfg.golden.project import Project

NAME = "accept"
HELP = "accept results as goldens"
EXAMPLES = """  vmcfg accept scenarios/quickstart.yaml
  vmcfg accept --select tag:tlb
  vmcfg accept                             all scenarios but those tagged long
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs.add_selection(parser)


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.cli.project import each, is_whole
    from vmcfg.golden.verdict import accept, refuse_in_ci

    refuse_in_ci(os.environ)
    project, verdicts, worst = each(arguments, accept)
    if is_whole(arguments):
        _remove_orphans(project)
    changed = sum(verdict.state in ("new", "changed") for _, verdict in verdicts)
    print(f"{changed} of {len(verdicts)} goldens written")
    return worst


def _remove_orphans(project: Project) -> None:
    from vmcfg.cli.project import tell
    from vmcfg.golden.verdict import Verdict, remove_orphan

    for golden in project.orphans():
        if remove_orphan(golden):
            tell(project.name(golden), Verdict("removed", ("its scenario is gone",)))
        else:
            tell(project.name(golden), Verdict("orphan", ("not removed: `vmcfg accept` has not written it",)))
