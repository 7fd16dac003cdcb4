"""Table `frames`: what each host's machine memory is used for at the end of the run."""

from __future__ import annotations

from vmcfg.tables.column import Column, count, text
from vmcfg.tables.subjects import NAME_WIDTH
from vmcfg.tables.table import TableKind


def _frames(kind: str, definition: str) -> Column:
    return count(kind, "frames", definition, lambda host: host.frames[kind])


FRAMES = TableKind(
    "frames",
    "What each host's machine frames are used for at the end of the run.",
    (
        text("host", "The host's name.", lambda host: host.name, NAME_WIDTH, is_key=True),
        _frames("total", "The host's memory: all other columns together."),
        _frames("free", "Frames that nobody uses."),
        _frames("private", "Frames that back one guest page each."),
        _frames("shared", "Frames that back several guest pages at once."),
        _frames("overhead", "Frames of the VMM itself, such as those that hold EPT tables."),
        _frames("reserved", "Frames set aside."),
    ),
    lambda result: result.hosts,
)
