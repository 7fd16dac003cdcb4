"""Two golden texts, cell by cell: what differs, by how much, and where the two runs parted."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from itertools import zip_longest

from attrs import frozen

from vmcfg.golden.text import Block, Golden
from vmcfg.tables import KEYS

THERE, NOT_THERE = "present", "absent"
SMALLEST_PERCENT = Decimal("0.01")


@frozen
class Difference:
    """One cell, or a whole row, column or table, that is not as expected."""

    where: str  # "vms, vm web"
    column: str  # empty where more than a cell differs
    expected: str
    found: str

    def __str__(self) -> str:
        cell = f"{self.where}, {self.column}" if self.column else self.where
        return f"{cell}: expected {self.expected}, found {self.found}{_by_how_much(self.expected, self.found)}"


def differences(expected: Golden, found: Golden) -> list[Difference]:
    """Return all differences: the scenario's digest first, then tables in order. Digests of a run are left out."""
    listed = [*_digest(expected, found), *_error(expected, found)]
    before, now = _tables(expected), _tables(found)
    for name in [*now, *(name for name in before if name not in now)]:
        if name in before and name in now:
            listed += _table(before[name], now[name])
        else:
            listed.append(_there_or_not(f"table {name}", name in before))
    if not listed and list(before) != list(now):
        listed.append(Difference("order of tables", "", " ".join(before), " ".join(now)))
    return listed


def divergences(expected: Golden, found: Golden) -> list[str]:
    """Return, for each host, the first interval and the subsystems in which the two runs parted."""
    before, now = _hosts(expected), _hosts(found)
    parted = (_parted(name, before[name], now[name]) for name in now if name in before)
    return [line for line in parted if line]


def _digest(expected: Golden, found: Golden) -> Iterator[Difference]:
    if expected.digest != found.digest:
        yield Difference("scenario", "digest", expected.digest, found.digest)


def _error(expected: Golden, found: Golden) -> Iterator[Difference]:
    before, now = _error_text(expected), _error_text(found)
    if before != now:
        yield Difference("run", "", before, now)


def _error_text(golden: Golden) -> str:
    """The error with which a run was expected to fail."""
    errors = (block for block in golden.blocks if block.kind == "error")
    return next((f"{block.name}: {' '.join(text for (text,) in block.rows)}" for block in errors), "no error")


def _tables(golden: Golden) -> dict[str, Block]:
    return {block.name: block for block in golden.blocks if block.kind == "table"}


def _hosts(golden: Golden) -> dict[str, Block]:
    return {block.name: block for block in golden.blocks if block.kind == "digests"}


def _table(expected: Block, found: Block) -> Iterator[Difference]:
    for column in found.columns + expected.columns:
        if (column in expected.columns) != (column in found.columns):
            yield _there_or_not(f"{found.name}, column {column}", column in expected.columns)
    before, now = _rows(expected), _rows(found)
    for key in [*now, *(key for key in before if key not in now)]:
        where = f"{found.name}, {key}"
        if key in before and key in now:
            yield from _cells(where, before[key], now[key])
        else:
            yield _there_or_not(where, key in before)
    if list(before) != list(now) and sorted(before) == sorted(now):
        yield Difference(f"{found.name}, order of rows", "", "; ".join(before), "; ".join(now))


def _rows(block: Block) -> dict[str, dict[str, str]]:
    """Return rows by their key in words, such as `vm web, phase 2`."""
    keys = [key for key in KEYS.get(block.name, ()) if key in block.columns]
    rows = [dict(zip(block.columns, row, strict=True)) for row in block.rows]
    named = [", ".join(f"{key} {row[key]}" for key in keys) for row in rows]
    if len(set(named)) < len(rows):
        named = [f"row {number}" for number in range(1, len(rows) + 1)]
    return dict(zip(named, rows, strict=True))


def _cells(where: str, expected: dict[str, str], found: dict[str, str]) -> Iterator[Difference]:
    for column, value in found.items():
        if column in expected and expected[column] != value:
            yield Difference(where, column, expected[column], value)


def _there_or_not(where: str, was_there: bool) -> Difference:
    return Difference(where, "", THERE if was_there else NOT_THERE, NOT_THERE if was_there else THERE)


def _by_how_much(expected: str, found: str) -> str:
    """Write difference and percent of two numbers, exactly; nothing for other texts."""
    try:
        before, now = Decimal(expected), Decimal(found)
    except InvalidOperation:
        return ""
    if not before.is_finite() or not now.is_finite():
        return ""
    return f" ({now - before:+f}{_percent(before, now)})"


def _percent(before: Decimal, now: Decimal) -> str:
    if not before:
        return ""
    percent = (now - before) * 100 / before
    return f", {percent:+.2f} %" if abs(percent) >= SMALLEST_PERCENT else f", less than {SMALLEST_PERCENT} %"


def _parted(host: str, expected: Block, found: Block) -> str:
    since = "0"
    for before, now in zip_longest(expected.rows, found.rows):
        if before != now:
            return f"host {host}: {_what_parted(expected.columns, before, now, since)}"
        since = now[0]
    return "" if expected.columns == found.columns else f"host {host}: other subsystems are digested"


def _what_parted(
    columns: tuple[str, ...], before: tuple[str, ...] | None, now: tuple[str, ...] | None, since: str
) -> str:
    if before is None or now is None or before[0] != now[0]:
        expected, found = (f"cycle {row[0]}" if row else "none" for row in (before, now))
        return f"the runs part after cycle {since}: next checkpoint expected at {expected}, found at {found}"
    names = [name for name, old, new in zip(columns, before, now, strict=False) if old != new]
    return f"the runs part between cycles {since} and {now[0]}, first in {', '.join(names)}"
