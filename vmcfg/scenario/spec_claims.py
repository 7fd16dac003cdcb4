"""What a scenario claims of its figures. A part of the Scenario: see `scenario.spec`, which hands all of it on."""

from __future__ import annotations

from attrs import frozen


@frozen
class CellName:
    """A cell of a table: its row by the columns that tell rows apart, as text, and its column."""

    table: str
    where: tuple[tuple[str, str], ...]
    column: str


@frozen
class Claim:
    """What a scenario claims of a figure: a value, or bounds. Numbers are exact decimals, as text."""

    cell: CellName
    ratio_to: CellName | None  # the figure is then cell ÷ ratio_to
    value: str | None
    tolerance: str  # 0: the figure as it is shown equals the value
    is_share: bool  # the tolerance is a share of the value
    at_least: str | None
    at_most: str | None
    is_calibrated: bool  # the scenario was fitted to it: no evidence
    source: str
    place: str  # file:line


@frozen
class ExpectedError:
    """The run must fail, with this code."""

    code: str
    source: str
