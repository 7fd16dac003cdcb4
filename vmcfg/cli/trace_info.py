"""Show what a recorded trace holds: its format and kind, records and pages, reads, writes and fetches. The whole file
is read and checked, as a run would."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from vmcfg.cli import traces

if TYPE_CHECKING:
    from vmcfg.workload.traces import TraceData

NAME = "trace-info"
HELP = "show what a recorded trace holds"
EXAMPLES = """  vmcfg trace-info scenarios/data/ls.lackey.xz
  vmcfg trace-info scenarios/data/sort.u32.zst --vpn scenarios/data/sort.vpn.gz
  vmcfg trace-info requests.bin --format oracle_general
"""
PAGE_SHIFT = 12

add_arguments = traces.add_trace


def execute(arguments: argparse.Namespace) -> int:
    data, fmt, why = traces.read(arguments)
    rows = [("file", arguments.file), ("format", f"{fmt}, {why}"), *_rows(data)]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:{width}}  {value}")
    return 0


def _rows(data: TraceData) -> Iterator[tuple[str, str]]:
    lowest, highest = int(data.vpns.min()), int(data.vpns.max())
    yield "kind", data.kind + ": what was accessed in each epoch, not each access" * (data.kind == "sets")
    yield "records", str(len(data.records))
    yield "pages", str(len(data.vpns))
    if data.kind == "sets":
        yield "epochs", str(data.epoch_count)
    yield "reads", str(data.reads)
    yield "writes", str(data.writes)
    yield "fetches", str(data.fetches)
    yield "addresses", f"{lowest << PAGE_SHIFT:#x} to {((highest + 1) << PAGE_SHIFT) - 1:#x}"
    yield "sha256", data.sha256
