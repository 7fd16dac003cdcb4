"""Table `claims`: what the scenario expects of its figures, what was found, and how far apart the two are.

Claims are judged with exact fractions. Bounds, and values with a tolerance, are held against the exact figure; a value
without tolerance against the figure as its table shows it, so that a number read from a table can be claimed as it is.
A row or column that is not there fails: a claim must never pass because its subject is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from attrs import frozen

from vmcfg.scenario.spec import CellName, Claim, ExpectedError
from vmcfg.tables.column import NOTHING, Cell, Column, Ratio, ratio_text, text
from vmcfg.tables.table import Table

NAME = "claims"
HOLDS, FAILED, CALIBRATED = "holds", "failed", "calibrated"
RATIO_DECIMALS = 3
MOST_DECIMALS = 40  # of a figure that is shown beside a bound it nearly meets
NONE = "0"
NO_ERROR = "no error"


@frozen
class Judged:
    """One claim with what came of it, as text."""

    claim: str
    expected: str
    found: str
    deviation: str
    verdict: str  # HOLDS, FAILED, or CALIBRATED: holds, but the scenario was fitted to it
    source: str
    place: str  # file:line of the claim

    def __str__(self) -> str:
        by_how_much = f", {self.deviation}" if self.deviation not in (NOTHING, NONE) else ""
        return f"{self.claim}: expected {self.expected}, found {self.found}{by_how_much}"


@frozen
class _Figure:
    """A figure found: exact, and the decimals it is shown with; or why there is none."""

    exact: Fraction | None
    decimals: int = 0
    why_not: str = NOTHING


COLUMNS = (
    text("claim", "The cell that the claim is about, or a cell divided by another.", lambda row: row.claim, 60, True),
    text("expected", "What is claimed of it.", lambda row: row.expected, 16),
    text("found", "The figure of this run.", lambda row: row.found, 14),
    text("deviation", "Found less expected, and the same in percent of expected.", lambda row: row.deviation, 22),
    text("verdict", "holds, failed, or calibrated: it holds, but was fitted and is no evidence.",
         lambda row: row.verdict, 10),
    text("source", "Where the expected figure comes from.", lambda row: row.source, 0),
)  # fmt: skip


def judge(claims: Sequence[Claim], tables: Mapping[str, Table]) -> list[Judged]:
    """Judge each claim by the tables of a run."""
    return [_judge(claim, tables) for claim in claims]


def judge_error(expected: ExpectedError, code: str | None, place: str) -> Judged:
    """Judge a run that must fail with a certain code; None: it did not fail."""
    verdict = HOLDS if code == expected.code else FAILED
    source = _one_line(expected.source)
    return Judged("error of the run", expected.code, code or NO_ERROR, NOTHING, verdict, source, place)


def table(judged: Sequence[Judged]) -> Table:
    """Return the table of claims, a row each, in their order."""
    return Table(NAME, COLUMNS, tuple(tuple(column.read(row) for column in COLUMNS) for row in judged))


def _judge(claim: Claim, tables: Mapping[str, Table]) -> Judged:
    figure = _find(tables, claim.cell)
    if claim.ratio_to is not None:
        figure = _quotient(figure, _find(tables, claim.ratio_to))
    is_met = figure.exact is not None and _is_met(claim, figure.exact, figure.decimals)
    verdict = (CALIBRATED if claim.is_calibrated else HOLDS) if is_met else FAILED
    found, deviation = _shown(claim, figure, is_met)
    source = _one_line(claim.source)
    return Judged(_subject(claim), _expected(claim), found, deviation, verdict, source, claim.place)


def _is_met(claim: Claim, exact: Fraction, decimals: int) -> bool:
    if claim.value is not None:
        value, tolerance = Fraction(claim.value), Fraction(claim.tolerance)
        if not tolerance:
            return _rounded(exact, max(decimals, _places(claim.value))) == value
        return abs(exact - value) <= tolerance * (value if claim.is_share else 1)
    is_enough = claim.at_least is None or exact >= Fraction(claim.at_least)
    return is_enough and (claim.at_most is None or exact <= Fraction(claim.at_most))


def _find(tables: Mapping[str, Table], name: CellName) -> _Figure:
    """Look a cell up. Tables of another run, such as one with a single phase, may lack a column or row."""
    found = tables.get(name.table)
    wanted = dict(name.where)
    if found is None or name.column not in found.columns or not wanted.keys() <= set(found.columns):
        return _Figure(None, why_not="absent")
    places = {key: found.columns.index(key) for key in wanted}
    rows = [
        row
        for row in found.cells
        if all(found.typed_columns[place].text(row[place]) == wanted[key] for key, place in places.items())
    ]
    if len(rows) != 1:
        return _Figure(None, why_not=f"{len(rows)} rows" if rows else "absent")
    place = found.columns.index(name.column)
    return _figure(found.typed_columns[place], rows[0][place])


def _figure(column: Column, cell: Cell) -> _Figure:
    if isinstance(cell, Ratio):
        exact = Fraction(cell.numerator, cell.denominator) if cell.denominator else None
        return _Figure(exact, column.decimals)
    return _Figure(Fraction(cell))


def _quotient(figure: _Figure, other: _Figure) -> _Figure:
    if figure.exact is None or other.exact is None:
        return figure if figure.exact is None else other
    return _Figure(figure.exact / other.exact if other.exact else None, RATIO_DECIMALS)


def _shown(claim: Claim, figure: _Figure, is_met: bool) -> tuple[str, str]:
    """Write found and deviation with as many decimals as it takes to see that the verdict is right."""
    exact = figure.exact
    if exact is None:
        return figure.why_not, NOTHING
    bound = _bound(claim, exact)
    least = figure.decimals if claim.value is None else max(figure.decimals, _places(claim.value))
    tried = range(least, MOST_DECIMALS)
    places = next((n for n in tried if _is_met(claim, _rounded(exact, n), n) == is_met), MOST_DECIMALS)
    found = _rounded(exact, places)
    if found == bound:
        return _text(found, places), NONE
    percent = f" ({_text((found - bound) * 100 / bound, 2, '+')} %)" if bound else ""
    return _text(found, places), _text(found - bound, places, "+") + percent


def _bound(claim: Claim, exact: Fraction) -> Fraction:
    """The number that the figure is measured against: the value, or the nearer of the bounds."""
    bounds = [Fraction(bound) for bound in (claim.value, claim.at_least, claim.at_most) if bound is not None]
    return min(bounds, key=lambda bound: abs(exact - bound))


def _subject(claim: Claim) -> str:
    subject = _cell_text(claim.cell)
    return f"{subject} ÷ {_cell_text(claim.ratio_to)}" if claim.ratio_to else subject


def _cell_text(name: CellName) -> str:
    return ", ".join([name.table, *(f"{key} {value}" for key, value in name.where), name.column])


def _expected(claim: Claim) -> str:
    if claim.value is not None:
        if not Fraction(claim.tolerance):
            return claim.value
        percent = _percent(claim.tolerance) if claim.is_share else claim.tolerance
        return f"{claim.value} ± {percent}"
    if claim.at_least is not None and claim.at_most is not None:
        return f"{claim.at_least} to {claim.at_most}"
    return f"at least {claim.at_least}" if claim.at_least is not None else f"at most {claim.at_most}"


def _percent(share: str) -> str:
    text = _text(Fraction(share) * 100, 4)
    return text.rstrip("0").rstrip(".") + " %"


def _places(decimal: str) -> int:
    return len(decimal.partition(".")[2])


def _rounded(exact: Fraction, decimals: int) -> Fraction:
    return Fraction(_text(exact, decimals))


def _text(exact: Fraction, decimals: int, sign: str = "") -> str:
    written = ratio_text(Ratio(exact.numerator, exact.denominator), decimals)
    return written if written.startswith("-") else sign + written


def _one_line(source: str) -> str:
    return " ".join(source.split()) or NOTHING
