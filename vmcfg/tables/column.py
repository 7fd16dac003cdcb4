"""A column of a table: name, unit, type, width and definition, declared once.

A cell is a text, an integer, or an exact ratio of two integers that is rounded when it is written, half to even, by
integer arithmetic. No float stands between the machine's counters and the text, so every computer writes the same
digits; JSON holds these digits as a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from attrs import frozen

from vmcfg.scenario.spec import Scenario

NOTHING = "-"  # n / 0: there is no such figure

TEXT, COUNT, RATIO = "text", "count", "ratio"
PHASES, RECLAIM = "several phases in a workload", "anything that takes memory away"
FILES = "files of a VM"
REPORTING = "guests that report free pages"
AHEAD = "hosts that keep memory free by watermarks"
KILLS, ZEROING = "guests that kill when they run out of memory", "guests that zero pages nobody has asked for"
COMPRESSION = "a compression cache"
COUNT_WIDTH = 12


@frozen
class Ratio:
    """An exact quotient of two integers; the denominator may be 0, then there is no value."""

    numerator: int
    denominator: int


Cell = str | int | Ratio


@frozen
class Column:
    """`read` takes the subject of a row (a VM's phase, a host, ...) and returns the cell.

    `width` is that of golden files; a longer value pushes its own line. `unit` is empty for names.
    """

    name: str
    kind: str  # TEXT, COUNT or RATIO
    unit: str
    width: int
    definition: str  # one sentence
    read: Callable[[Any], Cell]
    decimals: int = 0
    is_key: bool = False  # tells a table's rows apart
    only_with: str = ""  # PHASES and so on: stands only in tables of scenarios that have these

    @property
    def is_number(self) -> bool:
        return self.kind != TEXT

    def text(self, cell: Cell) -> str:
        """Write a cell as people and files see it."""
        if isinstance(cell, Ratio):
            return ratio_text(cell, self.decimals) if cell.denominator else NOTHING
        return str(cell)

    def json(self, cell: Cell) -> str:
        """Write a cell as JSON: a number has the digits of the text, no value is null."""
        text = self.text(cell)
        if not self.is_number:
            return json.dumps(text)
        return "null" if text == NOTHING else text

    def value(self, cell: Cell) -> str | int | Decimal | None:
        """Return a cell for Python: text, int, Decimal with the digits of the text, or None."""
        if not isinstance(cell, Ratio):
            return cell
        return Decimal(self.text(cell)) if cell.denominator else None

    def pad(self, text: str) -> str:
        """Fill a text up to the column's width; a longer one is left as it is."""
        return text.rjust(self.width) if self.is_number else text.ljust(self.width)


def text(name: str, definition: str, read: Callable[[Any], Cell], width: int, is_key: bool = False) -> Column:
    """Declare a column of names."""
    return Column(name, TEXT, "", max(width, len(name)), definition, read, is_key=is_key)


def count(
    name: str, unit: str, definition: str, read: Callable[[Any], Cell], only_with: str = "", is_key: bool = False
) -> Column:
    """Declare a column of exact integers."""
    width = max(COUNT_WIDTH, len(name))
    return Column(name, COUNT, unit, width, definition, read, is_key=is_key, only_with=only_with)


def features(scenario: Scenario) -> frozenset[str]:
    """Return what a scenario has of that which columns stand only with."""
    has = {
        PHASES: any(len(workload.phases) > 1 for workload in scenario.workloads),
        RECLAIM: scenario.takes_memory_away,
        FILES: any(vm.files for vm in scenario.vms),
        KILLS: any(vm.oom == "kill" for vm in scenario.vms),
        AHEAD: any(host.paging and host.paging.watermarks for host in scenario.hosts),
        REPORTING: any(vm.free_page_reporting for vm in scenario.vms),
        ZEROING: any(vm.boot or vm.zero_thread for vm in scenario.vms),
        COMPRESSION: any(host.compression for host in scenario.hosts),
    }
    return frozenset(name for name in has if has[name])


def ratio(name: str, unit: str, decimals: int, definition: str, read: Callable[[Any], Cell]) -> Column:
    """Declare a column of quotients with a fixed number of decimals."""
    return Column(name, RATIO, unit, max(COUNT_WIDTH, len(name)), definition, read, decimals)


def ratio_text(ratio: Ratio, decimals: int) -> str:
    """Write a ratio with exactly so many decimals, rounded half to even: 1/8 with two decimals is 0.12."""
    sign = -1 if (ratio.numerator < 0) != (ratio.denominator < 0) else 1
    denominator = abs(ratio.denominator)
    scaled, rest = divmod(abs(ratio.numerator) * 10**decimals, denominator)
    scaled += 2 * rest > denominator or (2 * rest == denominator and scaled % 2)
    whole, places = divmod(scaled, 10**decimals)
    minus = "-" if sign < 0 and scaled else ""
    return f"{minus}{whole}" + (f".{places:0{decimals}d}" if decimals else "")
