"""Show what a recorded trace holds: its format and kind, records and pages, reads, writes and fetches. The whole file
is read and checked, as a run would."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vmcfg.cli import inputs
from vmcfg.errors import RunFailed, UsageError

if TYPE_CHECKING:
    from vmcfg.workload.traces import TraceData

NAME = "trace-info"
HELP = "show what a recorded trace holds"
EXAMPLES = """  vmcfg trace-info scenarios/data/ls.lackey.xz
  vmcfg trace-info scenarios/data/sort.u32.zst --vpn scenarios/data/sort.vpn.gz
  vmcfg trace-info requests.bin --format oracle_general
"""
FORMATS = ("lackey", "records", "oracle_general", "champsim", "u64", "csv")
PAGE_SHIFT = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a trace file, plain or compressed with gz, xz or zst")
    help_text = f"one of {', '.join(FORMATS)}; default: what the name or the first lines tell"
    parser.add_argument("--format", choices=FORMATS, metavar="FORMAT", help=help_text)
    parser.add_argument("--vpn", metavar="FILE", help="for records: the page number of each page index")
    help_text = "most memory for records and pages; default: 75%% of the machine's"
    parser.add_argument("--limit", metavar="SIZE", type=inputs.size, help=help_text)


def execute(arguments: argparse.Namespace) -> int:
    from vmcfg.plan.limits import default_bytes
    from vmcfg.scenario.spec import Trace
    from vmcfg.workload.traces import read

    fmt, why = (arguments.format, "as said") if arguments.format else _guessed(arguments.file)
    vpn = arguments.vpn or ""
    trace = Trace(arguments.file, Path(arguments.file), fmt, vpn, Path(vpn) if vpn else None)
    data = read(trace, default_bytes() if arguments.limit is None else arguments.limit)
    rows = [("file", arguments.file), ("format", f"{fmt}, {why}"), *_rows(data)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")
    return 0


def _guessed(file: str) -> tuple[str, str]:
    from vmcfg.scenario import trace_files
    from vmcfg.workload.traces.guessing import guess

    if fault := trace_files.faults(Path(file), ""):
        raise RunFailed("bad_trace", f"{file}: {fault}")
    found = guess(file, Path(file))
    if found is None:
        raise UsageError(f"{file}: found nothing that tells its format, expected --format {'|'.join(FORMATS)}")
    return found


def _rows(data: TraceData) -> Iterator[tuple[str, str]]:
    lowest, highest = int(data.vpns.min()), int(data.vpns.max())
    yield "kind", data.kind
    yield "records", str(len(data.records))
    yield "pages", str(len(data.vpns))
    yield "reads", str(data.reads)
    yield "writes", str(data.writes)
    yield "fetches", str(data.fetches)
    yield "addresses", f"{lowest << PAGE_SHIFT:#x} to {((highest + 1) << PAGE_SHIFT) - 1:#x}"
    yield "sha256", data.sha256
