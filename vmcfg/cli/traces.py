"""What commands about recorded traces share: the file, its format, and how much of it may be in memory."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vmcfg.cli import inputs
from vmcfg.errors import RunFailed, UsageError

if TYPE_CHECKING:
    from vmcfg.workload.traces import TraceData

FORMATS = ("lackey", "records", "oracle_general", "champsim", "u64", "csv", "guest_physical")


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add the argument FILE and the options --format, --vpn and --limit."""
    parser.add_argument("file", metavar="FILE", help="a trace file, plain or compressed with gz, xz or zst")
    help_text = f"one of {', '.join(FORMATS)}; default: what the name or the first lines tell"
    parser.add_argument("--format", choices=FORMATS, metavar="FORMAT", help=help_text)
    parser.add_argument("--vpn", metavar="FILE", help="for records: the page number of each page index")
    help_text = "most memory for records and pages; default: 75%% of the machine's"
    parser.add_argument("--limit", metavar="SIZE", type=inputs.size, help=help_text)


def read(arguments: argparse.Namespace) -> tuple[TraceData, str, str]:
    """Read all of the trace; returns it, its format, and how that is known."""
    from vmcfg.plan.limits import default_bytes
    from vmcfg.scenario.spec import Trace
    from vmcfg.workload import traces

    fmt, why = (arguments.format, "as said") if arguments.format else _guessed(arguments.file)
    vpn = arguments.vpn or ""
    trace = Trace(arguments.file, Path(arguments.file), fmt, vpn, Path(vpn) if vpn else None)
    return traces.read(trace, default_bytes() if arguments.limit is None else arguments.limit), fmt, why


def _guessed(file: str) -> tuple[str, str]:
    from vmcfg.scenario import trace_files
    from vmcfg.workload.traces.guessing import guess

    if fault := trace_files.faults(Path(file), ""):
        raise RunFailed("bad_trace", f"{file}: {fault}")
    found = guess(file, Path(file))
    if found is None:
        raise UsageError(f"{file}: found nothing that tells its format, expected --format {'|'.join(FORMATS)}")
    return found
