"""Show single accesses step by step: lookups, every table entry that is read, exits, faults, fills, and their costs.

All that comes before is simulated at full speed; then the access itself is run by the same kernels as plain Python, and
watched. Indentation says whose table is read; numbers count the references of a walk. Accesses are touches of one vCPU,
counted from 1, those of a warm-up included."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from vmcfg.cli import inputs
from vmcfg.units import QuantityError, parse_count

if TYPE_CHECKING:
    from vmcfg.plan.model import Plan
    from vmcfg.trace import Access

NAME = "trace"
HELP = "show single accesses, reference by reference"
EXAMPLES = """  vmcfg trace scenarios/walks/cold_nested_walk_takes_24_references.yaml --access 5
  vmcfg trace quickstart --access 1                     a first touch, with its fault and exits
  vmcfg trace quickstart --vm web --access 900k --count 3
  vmcfg trace quickstart --access 1 --set mmu.mode=native --format json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    inputs.add_scenario(parser)
    parser.add_argument("--vm", metavar="NAME", help="the VM, such as web or web-2; may be left out if there is one")
    parser.add_argument("--vcpu", metavar="K", type=_from_0, default=0, help="its vCPU, from 0; default: 0")
    parser.add_argument("--access", metavar="N", type=_from_1, required=True, help="the first access to show, from 1")
    parser.add_argument("--count", metavar="K", type=_from_1, default=1, help="how many to show; default: 1")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="how to write; default: table")


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.engine import needs_compiling
    from vmcfg.plan import limits
    from vmcfg.plan.model import UNLIMITED
    from vmcfg.trace import trace

    plan = inputs.experiment(arguments.file, arguments.set).plan()
    limits.refuse_above(plan, limits.default_bytes(), UNLIMITED)
    accesses = trace(plan, arguments.vm, arguments.vcpu, arguments.access, arguments.count)
    if needs_compiling(plan):
        from vmcfg.cli.running import COMPILING

        print(COMPILING, file=sys.stderr, flush=True)
    if arguments.format == "json":
        shown = _as_json(plan, list(accesses))
    else:
        shown = sum(_as_text(access, is_first=number == 0) for number, access in enumerate(accesses))
    if shown < arguments.count:
        last = arguments.access + shown - 1
        print(f"vmcfg: access {last} is the last of this vCPU: {shown} of {arguments.count} shown", file=sys.stderr)
    return 0


def _as_json(plan: Plan, accesses: list[Access]) -> int:
    import json

    from vmcfg.trace import as_data

    data = {"scenario": plan.scenario.name, "digest": plan.digest, "accesses": [as_data(each) for each in accesses]}
    print(json.dumps(data, indent=2, ensure_ascii=False))
    return len(accesses)


def _as_text(access: Access, is_first: bool) -> int:
    from vmcfg.trace.paint import in_colour, unpainted
    from vmcfg.trace.show import render

    print(("" if is_first else "\n") + render(access, in_colour if _may_colour() else unpainted), end="", flush=True)
    return 1


def _may_colour() -> bool:
    """Colour is for terminals that know it and people who want it (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _from_0(text: str) -> int:
    return _count(text, 0)


def _from_1(text: str) -> int:
    return _count(text, 1)


def _count(text: str, least: int) -> int:
    try:
        count = parse_count(text)
    except QuantityError as error:
        hint = f"; {error.hint}" if error.hint else ""
        raise argparse.ArgumentTypeError(f"found '{text}', {error}{hint}") from None
    if count < least:
        raise argparse.ArgumentTypeError(f"found '{text}', expected {least} or more")
    return count
