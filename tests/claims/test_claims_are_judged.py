"""A claim is arithmetic of fractions on the cells of tables; what is not there never passes."""

from __future__ import annotations

from attrs import evolve
from made_results import ONE_PHASE, idle_phase, outcome, phase, result, vm

from vmcfg.scenario import loads
from vmcfg.scenario.spec import CellName, Claim, ExpectedError
from vmcfg.tables import claims
from vmcfg.tables.claims import CALIBRATED, FAILED, HOLDS, Judged

# Of 1000 accesses 40 walk, with 40 guest and 80 host references; 6400 cycles are charged: 6.4 per access.
TABLES = outcome().tables
WEB = (("vm", "web"),)
WALKS = CellName("translation", WEB, "walks")
CYCLES = CellName("vms", WEB, "cycles_per_access")
BARE = Claim(WALKS, None, None, "0", False, None, None, False, "", "made.yaml:1")


def judged(cell: CellName = WALKS, tables=TABLES, **changes) -> Judged:  # type: ignore[no-untyped-def]
    (one,) = claims.judge([evolve(BARE, cell=cell, **changes)], tables)
    return one


def test_a_value_without_tolerance_is_what_the_table_shows() -> None:
    """40 walks are 40, and not 41; the deviation is exact, in the column's unit and in percent."""
    assert ("40", "40", "0", HOLDS) == _told(judged(value="40"))
    assert ("41", "40", "-1 (-2.44 %)", FAILED) == _told(judged(value="41"))


def test_a_ratio_is_claimed_as_it_is_shown() -> None:
    """6400 / 3000 = 2.1333…: the table shows 2.133, and that is the figure; who claims more digits is held to them."""
    tables = outcome(result(vm(idle_phase(0), phase(accesses=3000)))).tables
    assert HOLDS == judged(CYCLES, tables, value="2.133").verdict
    assert HOLDS == judged(CYCLES, tables, value="2.1333").verdict
    assert FAILED == judged(CYCLES, tables, value="2.1334").verdict
    assert FAILED == judged(CYCLES, tables, value="2.13").verdict


def test_a_tolerance_is_absolute_or_a_share() -> None:
    """6.4 is within 0.1 of 6.5 and within 2 % (0.13), but not within 1 % (0.065); the bound itself is inside."""
    assert HOLDS == judged(CYCLES, value="6.5", tolerance="0.1").verdict
    assert FAILED == judged(CYCLES, value="6.5", tolerance="0.09").verdict
    assert HOLDS == judged(CYCLES, value="6.5", tolerance="0.02", is_share=True).verdict
    assert FAILED == judged(CYCLES, value="6.5", tolerance="0.01", is_share=True).verdict


def test_tolerances_and_bounds_are_said_as_they_were_written() -> None:
    """A share is a percentage."""
    assert "6.5 ± 0.1" == judged(CYCLES, value="6.5", tolerance="0.1").expected
    assert "6.5 ± 2.5 %" == judged(CYCLES, value="6.5", tolerance="0.025", is_share=True).expected
    assert "at least 6" == judged(CYCLES, at_least="6").expected
    assert "at most 7" == judged(CYCLES, at_most="7").expected
    assert "6 to 7" == judged(CYCLES, at_least="6", at_most="7").expected


def test_bounds_hold_at_the_bound() -> None:
    """6.4 is at least 6.4 and at most 6.4, and neither by a millionth more."""
    assert HOLDS == judged(CYCLES, at_least="6.4", at_most="6.4").verdict
    assert FAILED == judged(CYCLES, at_least="6.400001").verdict
    assert FAILED == judged(CYCLES, at_most="6.399999").verdict


def test_as_many_digits_are_shown_as_the_verdict_needs() -> None:
    """40 / 121 = 0.3305…: shown with three decimals it would be 0.331, and seem to reach the bound."""
    tables = outcome(result(vm(idle_phase(0), phase(host_refs=121)))).tables
    other = CellName("translation", WEB, "host_refs")
    one = judged(CellName("translation", WEB, "guest_refs"), tables, ratio_to=other, at_least="0.331")
    assert ("at least 0.331", "0.3306", "-0.0004 (-0.12 %)", FAILED) == _told(one)


def test_a_ratio_to_another_cell_is_a_quotient() -> None:
    """80 host references for 40 of the guest: 2, in another column of the same row."""
    host, guest = CellName("translation", WEB, "host_refs"), CellName("translation", WEB, "guest_refs")
    one = judged(host, value="2", ratio_to=guest)
    assert ("2", "2.000", "0", HOLDS) == _told(one)
    assert "translation, vm web, host_refs ÷ translation, vm web, guest_refs" == one.claim


def test_a_ratio_to_nothing_fails() -> None:
    """n / 0 is no figure, and no bound is met by it."""
    one = judged(ratio_to=CellName("translation", WEB, "dirty_walks"), at_least="0")
    assert ("at least 0", "-", "-", FAILED) == _told(one)


def test_what_is_absent_fails() -> None:
    """A row, a column, a key and a table that a run does not have; also as what a ratio is to."""
    for cell in (
        CellName("translation", (("vm", "nobody"),), "walks"),
        CellName("translation", WEB, "nothing"),
        CellName("translation", (*WEB, ("phase", "1")), "walks"),
        CellName("comparison", WEB, "slowdown"),
    ):
        assert ("at least 0", "absent", "-", FAILED) == _told(judged(cell, at_least="0"))
        assert ("at least 0", "absent", "-", FAILED) == _told(judged(ratio_to=cell, at_least="0"))


def test_several_rows_are_no_cell() -> None:
    """Three exit reasons, and none is named: which one was meant?"""
    assert ("3", "3 rows", "-", FAILED) == _told(judged(CellName("exits", WEB, "count"), value="3"))


def test_where_may_be_left_out_of_a_table_with_one_row() -> None:
    """There is nothing to choose."""
    assert HOLDS == judged(CellName("translation", (), "walks"), value="40").verdict


def test_a_calibrated_claim_is_no_evidence_and_can_fail() -> None:
    """It holds because the scenario was made so; when it stops to hold, something moved."""
    assert CALIBRATED == judged(value="40", is_calibrated=True).verdict
    assert FAILED == judged(value="41", is_calibrated=True).verdict


def test_a_percentage_of_zero_is_not_given() -> None:
    """40 is 40 more than 0, and no percentage more."""
    assert "+40" == judged(value="0").deviation


def test_an_expected_error_must_come() -> None:
    """Its code decides; a run without error fails the claim."""
    expected = ExpectedError("out_of_frames", "1792 pages,\n 1536 frames")
    came = claims.judge_error(expected, "out_of_frames", "a.yaml:9")
    assert ("out_of_frames", HOLDS, "1792 pages, 1536 frames") == (came.found, came.verdict, came.source)
    stayed_away = claims.judge_error(expected, None, "a.yaml:9")
    assert ("no error", FAILED) == (stayed_away.found, stayed_away.verdict)


def test_the_table_has_a_row_for_each_claim_in_order() -> None:
    """After all other tables; an outcome without claims has no such table."""
    text = ONE_PHASE + (
        "expect:\n  - {table: translation, where: {vm: web}, column: walks, value: 40, source: by hand}\n"
        "  - {table: vms, where: {vm: web}, column: cycles_per_access, at_most: 6}\n"
    )
    made = outcome(text=text)
    assert "claims" == made.report().tables[-1].name
    assert ["holds", "failed"] == made.tables["claims"].column("verdict")
    assert ["by hand", "-"] == made.tables["claims"].column("source")
    assert ["made.yaml:15"] == [one.place for one in made.failed_claims]
    told = "vms, vm web, cycles_per_access: expected at most 6, found 6.400, +0.400 (+6.67 %)"
    assert [told] == list(map(str, made.failed_claims))
    assert "claims" not in outcome().tables


def test_claims_do_not_change_the_experiment() -> None:
    """They ask about a run; neither equality nor the digest knows them."""
    plain, asking = loads(ONE_PHASE), loads(ONE_PHASE + "expect: [{table: frames, column: free, value: 1}]\n")
    assert plain == asking and 1 == len(asking.claims)


def _told(one: Judged) -> tuple[str, str, str, str]:
    return one.expected, one.found, one.deviation, one.verdict
