"""Tables for eyes: aligned text and Markdown. The one file that knows tabulate, which is handed strings only."""

from __future__ import annotations

from tabulate import tabulate

from vmcfg.tables.table import Table

MOST_TURNED = 6  # rows that can still be compared when they stand side by side


def terminal(table: Table, width: int | None = None) -> str:
    """Lay a table out. One that is wider than `width` columns is turned, a row becoming a column, if that fits."""
    upright = _upright(table)
    if width is None or _width(upright) <= width or not 0 < len(table) <= MOST_TURNED:
        return upright
    turned = _turned(table)
    return turned if _width(turned) < _width(upright) else upright


def markdown(table: Table) -> str:
    """Lay a table out as GitHub's Markdown."""
    return _tabulate(table, "pipe")


def _upright(table: Table) -> str:
    return _tabulate(table, "simple")


def _tabulate(table: Table, style: str) -> str:
    align = ["right" if column.is_number else "left" for column in table.typed_columns] if len(table) else None
    text = tabulate(table.texts(), headers=table.columns, tablefmt=style, disable_numparse=True, colalign=align)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _turned(table: Table) -> str:
    lines = [[name, *column] for name, column in zip(table.columns, zip(*table.texts(), strict=True), strict=True)]
    align = ["left", *["right"] * len(table)]
    text = tabulate(lines, tablefmt="plain", disable_numparse=True, colalign=align)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _width(text: str) -> int:
    return max(map(len, text.splitlines()))
