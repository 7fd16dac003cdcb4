"""Lines of a table of steps: what a line holds, and how its cells are written."""

from __future__ import annotations

from typing import NamedTuple

INDENT = "  "


class Row(NamedTuple):
    """A line: its cells, in the order of `show.HEADS`, and how it is painted."""

    number: str = ""
    what: str = ""
    place: str = ""
    address: str = ""
    bits: str = ""
    found: str = ""
    leads_to: str = ""
    cycles: str = ""
    note: str = ""
    style: str = "plain"


def indented(text: str, depth: int) -> str:
    """Return a text as far in as its step is."""
    return INDENT * depth + text


def cycles_cell(cycles: int) -> str:
    """Return a cost, empty for none."""
    return f"{cycles:,}" if cycles else ""


def some(number: int, thing: str) -> str:
    """Return a number of things."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
