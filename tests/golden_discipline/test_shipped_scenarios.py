"""Every scenario that is shipped gives its golden, and says what its name claims."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from vmcfg.api import Outcome
from vmcfg.golden.project import Project, find
from vmcfg.golden.selection import Candidate, select
from vmcfg.golden.text import render
from vmcfg.golden.verdict import explain

PROJECT: Project = find((), Path(__file__).parent)
SHIPPED: Sequence[Candidate] = select(PROJECT)
OUTCOMES: dict[str, Outcome] = {}


def _outcome(name: str) -> Outcome:
    """Run a shipped scenario once for all tests of this file."""
    if name not in OUTCOMES:
        candidate = next(each for each in SHIPPED if each.name == f"scenarios/{name}.yaml")
        OUTCOMES[name] = candidate.experiment.run(check_invariants=True)
    return OUTCOMES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [candidate.name for candidate in SHIPPED])
def test_a_shipped_scenario_gives_its_golden(name: str) -> None:
    """Every table and digest, to the last digit, with the machine's invariants checked on the way."""
    golden = PROJECT.golden_of(PROJECT.root / name)
    expected = golden.read_text("utf-8")
    found = render(_outcome(name.removeprefix("scenarios/").removesuffix(".yaml")))
    assert expected == found, "\n".join(explain(expected, found))


def test_no_golden_is_an_orphan() -> None:
    """Each belongs to a scenario, and no *.new was left behind by an accident of review."""
    assert [] == PROJECT.orphans()


@pytest.mark.parametrize("mode", ["native", "nested"])
@pytest.mark.parametrize(("program", "records", "pages", "misses"), [
    ("sort", 6_923_835, 292, 871),
    ("sqlite", 13_975_779, 622, 70_592),
])  # fmt: skip
def test_program_traces_miss_as_an_independent_model_counts(
    program: str, records: int, pages: int, misses: int, mode: str
) -> None:
    """Fully associative LRU of 64 entries: each miss is one completed walk, whatever the mode."""
    tables = _outcome(f"traces/{program}_{mode}").tables
    row = tables["translation"][0]
    assert (records, misses) == (row["accesses"], row["walks"])
    assert pages == tables["vms"][0]["guest_faults"]


@pytest.mark.parametrize(("mode", "references"), [("native", 4), ("nested", 24)])
def test_cold_walks_take_what_their_names_say(mode: str, references: int) -> None:
    """Every access misses and walks with nothing cached."""
    row = _outcome(f"walks/cold_{mode}_walk_takes_{references}_references").tables["translation"][0]
    assert (10_000, references * 10_000) == (row["walks"], row["walk_refs"])


def test_first_touches_fault_once() -> None:
    """1024 pages fault and violate in the first round, none in the nine that follow; 5 page-table pages do too."""
    tables = _outcome("memory/first_touch_costs_an_ept_violation_per_page").tables
    assert [1024, 0] == tables["vms"].column("guest_faults")
    counts = {(row["phase"], row["reason"]): row["count"] for row in tables["exits"]}
    assert (1024, 5) == (counts[1, "ept_violation_data"], counts[1, "ept_violation_table"])
    assert (0, 0) == (counts[2, "ept_violation_data"], counts[2, "ept_violation_table"])


def test_misses_do_not_depend_on_how_they_are_served() -> None:
    """Native and nested replay the same program: TLBs see the same, and only the walks are longer."""
    for program in ("sort", "sqlite", "ls"):
        native, nested = (
            _outcome(f"traces/{program}_{mode}").tables["translation"][0] for mode in ("native", "nested")
        )
        for column in ("accesses", "l1_hits", "stlb_hits", "walks", "guest_refs"):
            assert native[column] == nested[column]
        assert native["walk_refs"] < nested["walk_refs"]  # type: ignore[operator]
