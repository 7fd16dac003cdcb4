"""Claims as the scenario writes them, with everything that may be left out put in its place."""

from __future__ import annotations

from typing import Any

from vmcfg.scenario import schema, spec
from vmcfg.scenario.scalars import describe
from vmcfg.scenario.settings import Settings

COMPARISON = "comparison"


def claims(expect: list[Settings], origins: dict[str, spec.Origin]) -> tuple[spec.Claim, ...]:
    """Makes the claims of checked settings."""
    return tuple(_claim(number, given, origins) for number, given in enumerate(expect))


def other_cell(given: Settings) -> dict[str, Any] | None:
    """The cell under `ratio_to`, which takes its table and column from the claim unless it has its own."""
    other = given["ratio_to"]
    if other is None:
        return None
    table, column = other["table"] or given["table"], other["column"] or given["column"]
    return {"table": table, "where": other["where"], "column": column}


def columns(table: str) -> dict[str, list[str]]:
    """What the schema knows of a table: the names that `where` may have, and the columns of numbers."""
    known = schema.properties(schema.resolve("expect.schema.json#/$defs/cell"), {"table": table})
    return {"where": list(known["where"]["properties"]), "column": known.get("column", {}).get("enum", [])}


def _claim(number: int, given: Settings, origins: dict[str, spec.Origin]) -> spec.Claim:
    kind, tolerance = given["tolerance"]
    other = other_cell(given)
    return spec.Claim(
        cell=_cell(given),
        ratio_to=_cell(other) if other else None,
        value=given["value"],
        tolerance=tolerance,
        is_share=kind == "share",
        at_least=given["at_least"],
        at_most=given["at_most"],
        is_calibrated=given["calibrated"],
        source=" ".join(given["source"].split()),
        place=origins[f"expect.{number}.column"].where,
    )


def _cell(given: dict[str, Any]) -> spec.CellName:
    where = tuple((key, describe_key(value)) for key, value in given["where"].items() if value is not None)
    return spec.CellName(given["table"], where, given["column"])


def describe_key(value: Any) -> str:
    """A value of `where` as the table writes it."""
    return value if isinstance(value, str) else describe(value)
