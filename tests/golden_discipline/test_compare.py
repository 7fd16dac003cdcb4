"""A mismatch is told so that one knows what happened: cell, values, difference, percent, first divergence."""

from __future__ import annotations

from made_results import ONE_PHASE, checkpoint, host, idle_phase, outcome, phase, result, vm

from vmcfg.golden.text import render
from vmcfg.golden.verdict import explain

BEFORE = render(outcome())


def test_a_differing_cell_is_named_with_both_values() -> None:
    """Table, row key, column, expected, found, difference, percent."""
    after = BEFORE.replace("               3           300", "               4           300")
    assert ("exits, vm web, reason ept_violation_data, count: expected 3, found 4 (+1, +33.33 %)",) == explain(
        BEFORE, after
    )


def test_a_row_of_a_phase_is_named_by_its_phase() -> None:
    """Keys are the columns that tell rows apart."""
    text = ONE_PHASE.replace("{phases: [{", "{phases: [{pattern: {kind: uniform, size: 1MiB}, accesses: 10}, {")
    before = render(outcome(result(vm(idle_phase(0), phase(1), phase(2))), text))
    after = render(outcome(result(vm(idle_phase(0), phase(1), phase(2, guest_faults=7))), text))
    assert ("vms, vm web, phase 2, guest_faults: expected 0, found 7 (+7)",) == explain(before, after)


def test_a_changed_ratio_is_compared_exactly() -> None:
    """The last printed digit counts, and the difference of two decimals is a decimal."""
    after = BEFORE.replace("       6.400\n\ntable translation", "       6.399\n\ntable translation")
    assert ("vms, vm web, cycles_per_access: expected 6.400, found 6.399 (-0.001, -0.02 %)",) == explain(BEFORE, after)


def test_a_tiny_difference_is_not_called_none() -> None:
    """One in a million is less than 0.01 %, and not 0.00 %."""
    one, other = (
        render(outcome(result(vm(idle_phase(0), phase(guest_faults=faults))))) for faults in (10**6, 10**6 + 1)
    )
    assert ("vms, vm web, guest_faults: expected 1000000, found 1000001 (+1, less than 0.01 %)",) == explain(one, other)


def test_a_dash_has_no_difference() -> None:
    """Where there is no figure there is nothing to subtract."""
    after = BEFORE.replace("       6.400\n\ntable translation", "           -\n\ntable translation")
    assert ("vms, vm web, cycles_per_access: expected 6.400, found -",) == explain(BEFORE, after)


def test_another_scenario_is_said_first() -> None:
    """If the scenario is not the one that was accepted, that explains all the rest."""
    after = render(outcome(result(vm(idle_phase(0), phase(guest_faults=1))), digest="cd" * 32))
    lines = explain(BEFORE, after)
    assert lines[0].startswith("scenario, digest: expected abab")
    assert "vms, vm web, guest_faults: expected 0, found 1 (+1)" == lines[1]


def test_rows_that_come_and_go_are_named() -> None:
    """A VM that is new, or gone, is a row that is present or absent."""
    both = render(outcome(result(vm(), vm(name="db"))))
    assert "vms, vm db: expected absent, found present" in explain(BEFORE, both)
    assert "vms, vm db: expected present, found absent" in explain(both, BEFORE)


def test_tables_and_columns_that_come_and_go_are_named() -> None:
    """The shape of a golden is part of it."""
    fewer = render(outcome(text=ONE_PHASE.replace(", memory", "")))
    assert ("table memory: expected present, found absent",) == explain(BEFORE, fewer)
    renamed = BEFORE.replace("unbacked_pages", "missing_pages ")
    assert (
        "memory, column missing_pages: expected absent, found present",
        "memory, column unbacked_pages: expected present, found absent",
    ) == explain(BEFORE, renamed)


def test_order_counts() -> None:
    """Rows stand in declaration order; another order is a difference, told as one."""
    one, other = vm(), vm(name="db")
    lines = explain(render(outcome(result(one, other))), render(outcome(result(other, one))))
    assert "vms, order of rows: expected vm web; vm db, found vm db; vm web" == lines[0]
    swapped = render(outcome(text=ONE_PHASE.replace("memory, time", "time, memory")))
    assert lines and explain(BEFORE, swapped)[0].startswith(
        "order of tables: expected vms translation exits memory time"
    )


def test_only_the_first_differences_are_listed() -> None:
    """Ten cells, then how many there are in all."""
    numbers = {
        "l1_hits": 1,
        "stlb_hits": 2,
        "walks": 3,
        "guest_refs": 4,
        "host_refs": 5,
        "walk_refs": 6,
        "dirty_refs": 1,
    }
    changed = phase(**numbers, fault_refs=8, dirty_walks=9, walk_cycles=10, guest_faults=11)
    lines = explain(BEFORE, render(outcome(result(vm(idle_phase(0), changed)))))
    assert 11 == len(lines)
    assert "and 2 more, 12 in all" == lines[-1]


def test_the_first_interval_and_subsystem_that_diverged_are_named() -> None:
    """Digests say when the two runs parted, and in what."""
    parted = host(checkpoint(100), checkpoint(200, guest=7, counters=8), checkpoint(300, translation=9))
    whole = host(checkpoint(100), checkpoint(200), checkpoint(300))
    lines = explain(render(outcome(result(on=whole))), render(outcome(result(on=parted))))
    assert ("host h: the runs part between cycles 100 and 200, first in guest, counters",) == lines


def test_checkpoints_at_other_times_are_named() -> None:
    """A run that is longer or shorter parts where the first checkpoint is missing or moved."""
    longer = render(outcome(result(on=host(checkpoint(100), checkpoint(200), checkpoint(300)))))
    moved = render(outcome(result(on=host(checkpoint(100), checkpoint(201)))))
    after = "host h: the runs part after cycle"
    assert (f"{after} 200: next checkpoint expected at none, found at cycle 300",) == explain(BEFORE, longer)
    assert (f"{after} 100: next checkpoint expected at cycle 200, found at cycle 201",) == explain(BEFORE, moved)


def test_an_edited_golden_is_seen() -> None:
    """A golden whose values agree but whose text does not has been edited."""
    edited = BEFORE.replace("table exits\n", "table  exits\n")
    assert explain(edited, BEFORE)
    spaced = BEFORE.replace("web               ept_violation_data", "web  ept_violation_data")
    number = 1 + spaced.split("\n").index(next(line for line in spaced.split("\n") if line.startswith("web  ept")))
    assert (f"line {number} is not written as `vmcfg accept` writes it",) == explain(spaced, BEFORE)


def test_a_golden_that_cannot_be_read_says_where() -> None:
    """A merge conflict in a golden is a difference with a line, not a crash."""
    torn = BEFORE.replace("table exits", "<<<<<<< ours")
    line = 1 + torn.split("\n").index("<<<<<<< ours")
    expected = f"the golden file cannot be read, line {line}: expected 'table NAME', 'digests HOST' or 'error CODE'"
    assert (expected,) == explain(torn, BEFORE)
