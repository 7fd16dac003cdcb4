"""Cold walks make the published number of references, row by row of a table that also names what is not built yet."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from attrs import evolve
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import Mmu

TABLE = Path(__file__).parents[1] / "data" / "walk_refs.csv"
PAGES = 700  # under two leaf tables


def rows() -> list[dict[str, str]]:
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def case(row: dict[str, str]) -> tuple[int, int, int, int]:
    """Return guest levels, host levels of a table, host levels of the data page, references."""
    guest, table, data, refs = (int(row[name]) for name in list(row)[:4])
    return guest, table, data, refs


def not_built(guest: int, table: int, data: int) -> str:
    """Say what of a row this version cannot configure yet, or nothing."""
    if guest == 0:
        return "a guest without paging"
    if guest < 4 or data != table or table in (2, 3):
        return "large pages"
    return ""


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['guest']} on {row['host']}")
def test_a_cold_walk_makes_the_published_number_of_references(row: dict[str, str]) -> None:
    """Without walk caches and nested TLB, and with a TLB of one entry, every touch walks the whole way."""
    guest, table, data, refs = case(row)
    if missing := not_built(guest, table, data):
        pytest.skip(f"not built yet: {missing}")
    on = tiny.host(mmu=Mmu("nested", 4096, True, table) if table else Mmu("native", 4096, True))
    vm = evolve(tiny.vm_at_start(), memory_pages=1500, table_levels=guest)
    result = simulate(
        compile_plan(tiny.scenario(vm, on=on, runs=tiny.workload(tiny.phase(accesses=PAGES), pages=PAGES)))
    )
    counters = result.vms[0].phases[1].counters
    assert (PAGES, 0) == (counters["walks"], counters["fault_refs"])
    assert (guest * PAGES, refs * PAGES) == (counters["guest_refs"], counters["walk_refs"])


def test_the_table_is_what_its_formula_says() -> None:
    """refs = guest levels × (host levels of a table + 1) + host levels of the data page."""
    assert 39 == len(rows())
    assert [] == [row for row in rows() if case(row)[3] != case(row)[0] * (case(row)[1] + 1) + case(row)[2]]
