"""The results of a run as text: for a terminal, as JSON, CSV or Markdown, and as files of the same."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping

from attrs import frozen

from vmcfg.tables.layout import markdown, terminal
from vmcfg.tables.table import Table


@frozen
class Report:
    """What a run shows: the scenario's name, title and digest, and its tables in order."""

    scenario: str
    title: str
    digest: str
    tables: tuple[Table, ...]


def as_table(report: Report, width: int | None = None) -> str:
    """Text for people; `width` is that of the terminal, None where nobody looks."""
    parts = [f"{report.scenario}: {report.title}", f"digest {report.digest}"]
    parts += [f"\n{table.name}\n{terminal(table, width)}" for table in report.tables]
    return "\n".join(parts) + "\n"


def as_json(report: Report) -> str:
    """`{"scenario", "digest", "tables": {name: [{column: value}]}}`; ratios have exactly the digits of the text."""
    tables = ",\n".join(f"    {json.dumps(table.name)}: [{_json_rows(table)}]" for table in report.tables)
    head = f'  "scenario": {json.dumps(report.scenario)},\n  "digest": {json.dumps(report.digest)},\n'
    return "{\n" + head + '  "tables": {\n' + tables + "\n  }\n}\n"


def as_csv(report: Report) -> str:
    """One table after another, each after a line `# name`, with an empty line between."""
    return "\n".join(f"# {table.name}\n{table_as_csv(table)}" for table in report.tables)


def as_markdown(report: Report) -> str:
    """Return a report as Markdown, a section for each table."""
    parts = [f"# {report.scenario}: {report.title}\n", f"Digest `{report.digest}`\n"]
    parts += [f"## {table.name}\n\n{markdown(table)}\n" for table in report.tables]
    return "\n".join(parts)


def table_as_csv(table: Table) -> str:
    """One table: a line of names, then a line for each row."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([table.columns, *table.texts()])
    return text.getvalue()


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "table": as_table,
    "json": as_json,
    "csv": as_csv,
    "markdown": as_markdown,
}

SUFFIXES = {"table": "txt", "json": "json", "markdown": "md"}


def files(report: Report, format_name: str) -> dict[str, str]:
    """Return the result files by name: one per table as CSV, one for all in the other formats."""
    if format_name == "csv":
        return {f"{table.name}.csv": table_as_csv(table) for table in report.tables}
    return {f"{report.scenario}.{SUFFIXES[format_name]}": FORMATS[format_name](report)}


def _json_rows(table: Table) -> str:
    rows = (
        ", ".join(
            f"{json.dumps(column.name)}: {column.json(cell)}"
            for column, cell in zip(table.typed_columns, row, strict=True)
        )
        for row in table.cells
    )
    lines = ",".join(f"\n      {{{row}}}" for row in rows)
    return f"{lines}\n    " if lines else ""
