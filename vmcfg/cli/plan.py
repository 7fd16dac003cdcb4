"""Show what a run would do and need, without running it: stages and due times in order, phases, arrays, the
processor's figures with their origin, and upper bounds."""

from __future__ import annotations

import argparse

from vmcfg.cli import inputs

NAME = "plan"
HELP = "show what a run would do and need"
EXAMPLES = """  vmcfg plan scenarios/quickstart.yaml
  vmcfg plan scenarios/quickstart.yaml --set cpu.nested_tlb=none
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs.add_scenario(parser)


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.plan.show import render

    plan = inputs.experiment(arguments.file, arguments.set).plan()
    print(render(plan), end="")
    return 0
