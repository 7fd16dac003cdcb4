"""How a trace reader says what is wrong: the file, the place in it, what was found and what was expected."""

from __future__ import annotations

from vmcfg.errors import RunFailed


class TraceError(RunFailed):
    """A trace file cannot be used; nothing of it has been taken in."""


def bad_trace(file: str, where: str, found: str, expected: str) -> TraceError:
    """Return the error for `file` (as the scenario names it) at `where`: a line, a record, a byte; may be empty."""
    place = f"{file}: {where}" if where else file
    return TraceError("bad_trace", f"{place}: found {found}, expected {expected}")
