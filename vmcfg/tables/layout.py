"""Tables for eyes: aligned text and Markdown. The one file that knows tabulate, which is handed strings only."""

from __future__ import annotations

from collections.abc import Sequence

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
    align = _align(table) if len(table) else None
    return tabulate(table.texts(), headers=table.columns, tablefmt="pipe", disable_numparse=True, colalign=align)


def texts(headers: Sequence[str], rows: Sequence[Sequence[str]], is_markdown: bool = False) -> str:
    """Lay out rows of texts that are no table of a run: the first column to the left, the others to the right."""
    style = "pipe" if is_markdown else "simple"
    align = ["left", *["right"] * (len(headers) - 1)]
    return tabulate(rows, headers=headers, tablefmt=style, disable_numparse=True, colalign=align)


def _upright(table: Table) -> str:
    """Put the names above a line; tabulate's own heads would take two more places for each column."""
    lines = [list(table.columns), *table.texts()]
    rule = ["-" * max(map(len, column)) for column in zip(*lines, strict=True)]
    return _plain([lines[0], rule, *lines[1:]], _align(table))


def _turned(table: Table) -> str:
    lines = [[name, *column] for name, column in zip(table.columns, zip(*table.texts(), strict=True), strict=True)]
    return _plain(lines, ["left", *["right"] * len(table)])


def _plain(lines: list[list[str]], align: list[str]) -> str:
    text = tabulate(lines, tablefmt="plain", disable_numparse=True, colalign=align)
    return "\n".join(line.rstrip() for line in text.splitlines())


def _align(table: Table) -> list[str]:
    return ["right" if column.is_number else "left" for column in table.typed_columns]


def _width(text: str) -> int:
    return max(map(len, text.splitlines()))
