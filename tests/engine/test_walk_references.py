"""Cold walks make the published number of references, row by row of a table."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from attrs import evolve
from oracle import tiny

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import PAGE_BYTES, Mmu

TABLE = Path(__file__).parents[1] / "data" / "walk_refs.csv"
PAGES = 700  # under two leaf tables
GIB = 512 * 512  # in pages
SIZES = {4: PAGE_BYTES, 3: 2 << 20, 2: 1 << 30}  # of pages, by the levels of a walk to them


def rows() -> list[dict[str, str]]:
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if not line.startswith("#")]
    return list(csv.DictReader(lines))


def case(row: dict[str, str]) -> tuple[int, int, int, int]:
    """Return guest levels, host levels of a table, host levels of the data page, references."""
    guest, table, data, refs = (int(row[name]) for name in list(row)[:4])
    return guest, table, data, refs


def mmu(table: int, data: int) -> Mmu:
    """Return the host's side: a tree of 4 levels is one shorter to a page of 2 MiB, two to one of 1 GiB."""
    if not table:
        return Mmu("native", PAGE_BYTES, True)
    if table in (1, 5):
        return Mmu("nested", PAGE_BYTES, True, table)
    return Mmu("nested", SIZES[data], True, 4, table_page_size=SIZES[table])


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['guest']} on {row['host']}")
def test_a_cold_walk_makes_the_published_number_of_references(row: dict[str, str]) -> None:
    """Without walk caches and nested TLB, and with a TLB of one entry, every touch walks the whole way."""
    guest, table, data, refs = case(row)
    pages = max({3: 4096, 2: 2 * GIB}.get(size, 2000) for size in (guest, data))
    on = tiny.host(mmu=mmu(table, data), memory_pages=4 * GIB)
    size = SIZES.get(guest, PAGE_BYTES)
    vm = evolve(tiny.vm_at_start(), memory_pages=pages, table_levels=max(4, guest), page_size=size)
    if guest == 0:
        vm = evolve(vm, table_levels=0, populate="on_touch")
    result = simulate(
        compile_plan(tiny.scenario(vm, on=on, runs=tiny.workload(tiny.phase(accesses=PAGES), pages=PAGES)))
    )
    counters = result.vms[0].phases[1].counters
    assert (PAGES, 0) == (counters["walks"], counters["fault_refs"])
    assert (guest * PAGES, refs * PAGES) == (counters["guest_refs"], counters["walk_refs"])


@pytest.mark.parametrize("levels", [2, 3])
@pytest.mark.parametrize("row", [row for row in rows() if row["guest_levels"] == "2"], ids=lambda row: row["host"])
def test_a_32_bit_guest_makes_the_references_of_two_levels(row: dict[str, str], levels: int) -> None:
    """Of two, or of three with PAE: the four entries of its root are in registers, and no walk reads them."""
    _, table, data, refs = case(row)
    vm = evolve(tiny.vm_at_start(), memory_pages={2: 2 * GIB}.get(data, 4096), table_levels=levels)
    on = tiny.host(mmu=mmu(table, data), memory_pages=4 * GIB)
    runs = tiny.workload(tiny.phase(accesses=PAGES), pages=PAGES)
    counters = simulate(compile_plan(tiny.scenario(vm, on=on, runs=runs))).vms[0].phases[1].counters
    assert (PAGES, 2 * PAGES, refs * PAGES) == (counters["walks"], counters["guest_refs"], counters["walk_refs"])


def test_the_table_is_what_its_formula_says() -> None:
    """refs = guest levels × (host levels of a table + 1) + host levels of the data page."""
    assert 39 == len(rows())
    assert [] == [row for row in rows() if case(row)[3] != case(row)[0] * (case(row)[1] + 1) + case(row)[2]]
