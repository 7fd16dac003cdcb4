"""Claims: cells that tables can have, and figures that can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from typing import Any

from vmcfg.scenario.checks.names import unknown_name
from vmcfg.scenario.claims import COMPARISON, columns, other_cell
from vmcfg.scenario.comparing import RESERVED
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.scalars import describe
from vmcfg.scenario.settings import Broken, Settings

BOUNDS = ("value", "at_least", "at_most")
SLOWDOWN = RESERVED[-1]


def check(findings: Findings, settings: Settings) -> None:
    """Checks each claim; an expected error has nothing to check."""
    with suppress(Broken):
        expect = settings["expect"]
        for number, claim in enumerate(expect if isinstance(expect, list) else ()):
            for rule in (_cells, _figures, _order, _tolerance):
                with suppress(Broken):
                    rule(findings, settings, ("expect", number), claim)
        if isinstance(expect, dict) and settings["compare"]:
            findings.add(("compare",), "contradiction", "found compare beside expect.error, expected one of them",
                         "a run that must fail leaves nothing to compare", at_key=True)


def _cells(findings: Findings, settings: Settings, path: Path, claim: Settings) -> None:
    if claim["table"] == COMPARISON:
        _of_comparison(findings, settings, path, claim)
    other = other_cell(claim)
    if other is None:
        return
    path = (*path, "ratio_to")
    if other["table"] == COMPARISON:
        _of_comparison(findings, settings, path, other)
        return
    known = columns(other["table"])
    if claim["ratio_to"]["table"] is None:
        for key in other["where"]:
            _known(findings, (*path, "where", key), f"key of table {other['table']}", key, known["where"], at_key=True)
    _known(findings, (*path, "column"), f"column of table {other['table']}", other["column"], known["column"])


def _of_comparison(findings: Findings, settings: Settings, path: Path, cell: dict[str, Any]) -> None:
    """The table comparison has the columns that `compare:` makes."""
    if not settings["compare"]:
        findings.add((*path, "table"), "contradiction", "found table comparison, expected compare beside expect",
                     "for instance compare: {mmu.mode: [native, nested]}")
        return
    (values,) = settings["compare"].values()
    names = [value if isinstance(value, str) else describe(value) for value in values]
    slowdowns = [SLOWDOWN] if len(names) == 2 else [f"{SLOWDOWN}_{name}" for name in names[1:]]
    _known(findings, (*path, "column"), "column of table comparison", cell["column"], [*names, *slowdowns])
    for key in cell["where"]:
        known = columns(COMPARISON)["where"]
        _known(findings, (*path, "where", key), "key of table comparison", key, known, at_key=True)


def _known(
    findings: Findings, path: Path, kind: str, name: str, names: Iterable[str], *, at_key: bool = False
) -> None:
    if name not in names:
        unknown_name(findings, path, kind, name, names, at_key=at_key)


def _figures(findings: Findings, _: Settings, path: Path, claim: Settings) -> None:
    if all(claim[bound] is None for bound in BOUNDS):
        findings.add(path, "missing-key", "found no 'value', 'at_least' or 'at_most', expected what is claimed",
                     "for instance value: 24")


def _order(findings: Findings, _: Settings, path: Path, claim: Settings) -> None:
    least, most = claim["at_least"], claim["at_most"]
    if least is not None and most is not None and Fraction(least) > Fraction(most):
        findings.add((*path, "at_least"), "contradiction", f"found {least}, expected at most the {most} of at_most",
                     also=[((*path, "at_most"), "at_most is here")])


def _tolerance(findings: Findings, _: Settings, path: Path, claim: Settings) -> None:
    if claim["value"] is None and Fraction(claim["tolerance"][1]):
        findings.add((*path, "tolerance"), "contradiction", "found tolerance without value, expected it beside value",
                     "bounds are exact: widen the bound", at_key=True)
