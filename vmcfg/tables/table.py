"""A table: columns and rows of exact cells, written by `tables.formats`, read by Python as a sequence of dicts."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, overload

from attrs import frozen

from vmcfg.metrics.result import RunResult
from vmcfg.scenario.spec import Scenario
from vmcfg.tables.column import Cell, Column, features

Row = dict[str, str | int | Decimal | None]


@frozen
class Description:
    """What is to be said of a table whose rows do not come from one result alone."""

    name: str
    definition: str  # one sentence
    columns: tuple[Column, ...]


@frozen
class TableKind:
    """What a table shows: one row for each subject, one cell for each column."""

    name: str
    definition: str  # one sentence
    columns: tuple[Column, ...]
    subjects: Callable[[RunResult], Iterable[Any]]

    def build(self, scenario: Scenario, result: RunResult) -> Table:
        """Return the table of a run, with the columns that its scenario has anything for."""
        has = features(scenario)
        columns = tuple(column for column in self.columns if not column.only_with or column.only_with in has)
        cells = tuple(tuple(column.read(subject) for column in columns) for subject in self.subjects(result))
        return Table(self.name, columns, cells)


@frozen(repr=False)
class Table(Sequence[Row]):
    """Rows are dicts by column name; ratios are Decimals with the digits that tables show, n / 0 is None."""

    name: str
    typed_columns: tuple[Column, ...]
    cells: tuple[tuple[Cell, ...], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.typed_columns)

    def column(self, name: str) -> list[str | int | Decimal | None]:
        """Return one column's values, a row each."""
        place = self.columns.index(name)
        return [self.typed_columns[place].value(row[place]) for row in self.cells]

    def texts(self) -> list[list[str]]:
        """Return all cells as they are shown."""
        return [[column.text(cell) for column, cell in zip(self.typed_columns, row, strict=True)] for row in self.cells]

    def __len__(self) -> int:
        return len(self.cells)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        if isinstance(index, slice):
            return [self._row(cells) for cells in self.cells[index]]
        return self._row(self.cells[index])

    def __repr__(self) -> str:
        from vmcfg.tables.layout import terminal

        return f"{self.name}\n{terminal(self)}"

    def _repr_html_(self) -> str:
        """Show the table in a notebook, with each column's definition where the pointer rests on its head."""
        heads = "".join(
            f'<th title="{html.escape(column.definition)}">{html.escape(column.name)}</th>'
            for column in self.typed_columns
        )
        rows = "".join(f"<tr>{''.join(self._html_cells(texts))}</tr>" for texts in self.texts())
        caption = f"<caption>{html.escape(self.name)}</caption>"
        return f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"

    def _row(self, cells: tuple[Cell, ...]) -> Row:
        return {column.name: column.value(cell) for column, cell in zip(self.typed_columns, cells, strict=True)}

    def _html_cells(self, texts: list[str]) -> Iterable[str]:
        for column, text in zip(self.typed_columns, texts, strict=True):
            align = "right" if column.is_number else "left"
            yield f'<td style="text-align: {align}">{html.escape(text)}</td>'
