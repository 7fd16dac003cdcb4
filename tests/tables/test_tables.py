"""What stands in which table, from a result made by hand."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from made_results import (
    ASKING,
    CACHED,
    FILED,
    LARGE,
    PRESSED,
    ROUNDS,
    SAMPLED,
    TWO_PHASES,
    cached_vm,
    idle_phase,
    outcome,
    phase,
    result,
    scenario,
    vm,
)

from vmcfg.metrics.events import Event
from vmcfg.resources import schema_directory
from vmcfg.tables import KINDS, build
from vmcfg.tables.column import COUNT, TEXT


def test_vms_shows_progress_and_cost() -> None:
    """6400 cycles at 1 GHz are 6400 ns; 4000 + 420 + 1680 + 300 charged cycles over 1000 accesses are 6.4 each."""
    expected = {
        "vm": "web", "mode": "nested", "accesses": 1000, "guest_faults": 0, "time_ns": Decimal(6400),
        "accesses_per_s": Decimal(156250000), "cycles_per_access": Decimal("6.400"),
    }  # fmt: skip
    assert [expected] == list(outcome().tables["vms"])


def test_translation_shows_lookups_and_walks() -> None:
    """Each counter stands in the column of its name; 120 references of 40 walks are 3 each."""
    row = outcome().tables["translation"][0]
    assert (900, 60, 40, 120) == (row["l1_hits"], row["stlb_hits"], row["walks"], row["walk_refs"])
    assert Decimal("3.000") == row["refs_per_walk"]


def test_exits_shows_each_reason_of_the_mode() -> None:
    """A reason that never came has its row too, so that a table's shape does not depend on the run."""
    expected = [("ept_violation_data", 3, 300), ("ept_violation_table", 0, 0), ("vcpu_switch", 0, 0)]
    assert expected == [(row["reason"], row["count"], row["cycles"]) for row in outcome().tables["exits"]]


def test_memory_and_frames_show_the_end() -> None:
    """Pages of VMs and frames of hosts are those at the end of the run."""
    assert [1024, 20, 1004, 4, 1000] == list(outcome().tables["memory"][0].values())[1:]
    assert [16384, 16360, 20, 0, 4, 0] == list(outcome().tables["frames"][0].values())[1:]


def test_the_parts_of_time_add_up() -> None:
    """The charged parts per access add up to cycles_per_access."""
    row = outcome().tables["time"][0]
    parts = [value for name, value in row.items() if name.endswith("_per_access") and name != "cycles_per_access"]
    assert row["cycles_per_access"] == sum(parts)  # type: ignore[arg-type]


def test_the_warm_up_is_not_shown() -> None:
    """Phase 0 is counted and digested, and no table shows it."""
    warmed = outcome(result(vm(phase(0), phase(1))))
    assert [1] == [len(warmed.tables[name]) for name in ("vms",)]


def test_phases_have_rows_and_a_column() -> None:
    """As soon as one workload has several phases, every row of a VM's progress says which one it is."""
    phased = outcome(result(vm(idle_phase(0), phase(1), phase(2))), TWO_PHASES)
    assert [1, 2] == phased.tables["vms"].column("phase")
    assert ("vm", "phase", "reason", "count", "cycles") == phased.tables["exits"].columns
    assert "phase" not in outcome().tables["vms"].columns


def test_an_idle_phase_has_no_ratios() -> None:
    """Without accesses there is no cost of one."""
    row = outcome(result(vm(idle_phase(0), idle_phase(1)))).tables["vms"][0]
    assert (0, None, None) == (row["accesses"], row["accesses_per_s"], row["cycles_per_access"])


def test_a_table_is_a_sequence_of_dicts() -> None:
    """Rows can be counted, indexed, sliced and iterated; columns can be taken by name."""
    table = outcome().tables["exits"]
    assert 3 == len(table)
    assert table[-1] == table[2:][0] == list(table)[2]
    assert ["web"] * 3 == table.column("vm")


def test_tables_show_themselves() -> None:
    """A table's repr is its layout; a notebook gets HTML with each column's definition at its head."""
    table = outcome().tables["memory"]
    assert repr(table).startswith("memory\nvm   configured_pages")
    assert '<th title="The VM&#x27;s name.">vm</th>' in table._repr_html_()


def test_the_schema_lists_the_tables() -> None:
    """A table is known to the language if and only if it is built."""
    schema = json.loads((schema_directory() / "table.schema.json").read_text("utf-8"))
    assert schema["enum"] == list(KINDS)


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_columns_are_declared_whole(kind) -> None:  # type: ignore[no-untyped-def]
    """A column has a name that fits its width, a definition in one sentence, a unit if it counts; rows have keys."""
    assert any(column.is_key for column in kind.columns)
    for column in kind.columns:
        assert re.fullmatch(r"[a-z0-9_]+", column.name)
        assert len(column.name) <= column.width
        assert re.fullmatch(r"[A-Z][^.]*\.", column.definition), column.definition
        assert column.unit or column.kind == TEXT or (column.kind == COUNT and column.is_key)


def test_every_counter_of_lookups_and_time_is_shown() -> None:
    """No counter is hidden, except those that only sums and other columns need."""
    inner = {"touches", "walk_charged_cycles", "guest_table_pages", "gpt_writes", "vcpu_switches", "software_tlb_hits"}
    inner |= {"log_entries_read", "pages_marked", "pages_collected"}
    shown = {column.name for kind in KINDS.values() for column in kind.columns}
    assert {event.name.lower() for event in Event} - inner <= shown


def test_every_table_is_built_whatever_the_scenario_prints() -> None:
    """`tables:` picks what is printed; Python has them all."""
    all_made = (LARGE, ASKING, PRESSED, FILED, ROUNDS, SAMPLED)
    names = {name for made in all_made for name in build(scenario(made), result())}
    assert set(KINDS) == names
    special = {"paging", "page_cache", "kills", "devices", "data_caches", "hypercalls", "large_pages", "page_sizes"}
    special |= {"compression", "dirty_log", "dirty_rounds", "series", "curve"}
    assert set(KINDS) - special == set(build(scenario(), result()))


def test_the_table_of_data_caches_adds_up() -> None:
    """References by where they were found, of 100 those from memory, and cycles per reference; no row without any."""
    (row,) = build(scenario(CACHED), result(cached_vm()))["data_caches"]
    assert (120, 100, 10, 6, 4) == tuple(row[f"{where}refs"] for where in ("", "l1_", "l2_", "llc_", "memory_"))
    assert (Decimal("3.33"), Decimal("12.833")) == (row["memory_share"], row["cycles_per_ref"])
    assert [] == list(build(scenario(CACHED), result())["data_caches"])
