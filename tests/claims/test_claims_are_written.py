"""What `expect:` and `compare:` become, and what is wrong with them is found before a run."""

from __future__ import annotations

from typing import Any

import pytest
from made_results import ONE_PHASE, TWO_PHASES

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads, schema
from vmcfg.scenario.claims import columns
from vmcfg.scenario.spec import CellName, Origin
from vmcfg.tables import KINDS, comparison
from vmcfg.units import QuantityError, parse_tolerance

COMPARE = "compare: {mmu.mode: [native, nested]}\n"


def claim(text: str, scenario: str = ONE_PHASE) -> Any:
    (one,) = loads(scenario + f"expect:\n  - {{{text}}}\n", "made.yaml").claims
    return one


def refused(text: str, **options: Any) -> str:
    with pytest.raises(InvalidScenario) as invalid:
        loads(ONE_PHASE + text, "made.yaml", **options)
    return str(invalid.value)


@pytest.mark.parametrize("name", [*KINDS, comparison.NAME])
def test_the_schema_knows_the_columns_of_each_table(name: str) -> None:
    """Keys to choose a row by, and columns of numbers, in their order: editors complete them."""
    known = columns(name)
    if name == comparison.NAME:
        assert {"where": ["vm", "phase", "measure"], "column": []} == known
        measures = schema.resolve("expect.schema.json#/$defs/measure")["enum"]
        assert [measure.name for measure in comparison.MEASURES] == measures
        return
    kind = KINDS[name]
    numbers = [column.name for column in kind.columns if column.is_number and not column.is_key]
    assert {"where": [column.name for column in kind.columns if column.is_key], "column": numbers} == known


def test_a_claim_keeps_exact_decimals_and_its_place() -> None:
    """No float is made of 2.50; file and line are for the message of a claim that fails."""
    one = claim("table: vms, where: {vm: web}, column: cycles_per_access, value: 2.50, tolerance: 0.5%, source: a\\ b")
    assert ("2.5", "0.005", True, "made.yaml:14") == (one.value, one.tolerance, one.is_share, one.place)
    assert CellName("vms", (("vm", "web"),), "cycles_per_access") == one.cell


def test_ratio_to_takes_what_it_leaves_out_from_the_claim() -> None:
    """Table and column; the row is its own."""
    one = claim("table: vms, where: {vm: web}, column: time_ns, at_least: 1, ratio_to: {where: {vm: other}}")
    assert CellName("vms", (("vm", "other"),), "time_ns") == one.ratio_to
    other = claim("table: vms, column: time_ns, at_least: 1, ratio_to: {table: translation, column: walks}")
    assert CellName("translation", (), "walks") == other.ratio_to


def test_a_phase_is_a_key_as_the_table_writes_it() -> None:
    """An integer in YAML, a text in a table."""
    assert (("vm", "web"), ("phase", "2")) == claim(
        "table: vms, where: {vm: web, phase: 2}, column: accesses, value: 1", TWO_PHASES
    ).cell.where


@pytest.mark.parametrize(
    ("written", "read"),
    [("3%", ("share", "0.03")), ("0.0001%", ("share", "0.000001")), (0, ("amount", "0")), ("0.50", ("amount", "0.5"))],
)
def test_a_tolerance_is_read_exactly(written: Any, read: tuple[str, str]) -> None:
    """Parts per million are enough for a percentage, six places for an amount."""
    assert read == parse_tolerance(written)


@pytest.mark.parametrize("written", ["3 %", "x", True, None, "-1", "101%"])
def test_what_is_no_tolerance_is_refused(written: Any) -> None:
    """Neither signs nor spaces, and no more than all of it."""
    with pytest.raises(QuantityError):
        parse_tolerance(written)


def test_variants_are_scenarios_with_their_own_defaults() -> None:
    """Native is backed at start, nested on touch; what else they say is the same, and nothing is asked of them."""
    compared = loads(ONE_PHASE + COMPARE + "expect: [{table: frames, column: free, at_least: 0}]\n").comparison
    assert compared is not None and "mmu.mode" == compared.path
    modes = {name: (variant.hosts[0].mmu.mode, variant.vms[0].backing) for name, variant in compared.variants}
    assert {"native": ("native", "at_start"), "nested": ("nested", "on_touch")} == modes
    assert [((), None)] * 2 == [(variant.claims, variant.comparison) for _, variant in compared.variants]


def test_the_command_line_takes_the_place_of_the_file() -> None:
    """`--compare` is `compare:` by another way."""
    compared = loads(ONE_PHASE + COMPARE, compare="hosts.h.cores=1,2,4").comparison
    assert compared is not None
    assert ["1", "2", "4"] == [name for name, _ in compared.variants]
    assert [1, 2, 4] == [variant.hosts[0].cores for _, variant in compared.variants]


def test_a_variant_can_be_of_any_setting() -> None:
    """A processor by its short form, one VM of a count, an item of a list."""
    text = ONE_PHASE.replace("{memory: 4MiB,", "{memory: 4MiB, count: 2,")
    profiles = loads(text, compare="cpu=haswell,nehalem").comparison
    assert profiles is not None
    assert ["haswell", "nehalem"] == [variant.hosts[0].cpu.profile for _, variant in profiles.variants]
    one = loads(text, compare="vms.web-2.memory=2MiB,8MiB").comparison
    assert one is not None
    assert [[1024, 512], [1024, 2048]] == [[vm.memory_pages for vm in variant.vms] for _, variant in one.variants]
    phase = loads(text, compare="workloads.scan.phases.0.write=0%,50%").comparison
    assert phase is not None
    assert [0, 500_000] == [variant.workloads[0].phases[0].write_ppm for _, variant in phase.variants]


def test_a_value_knows_that_it_came_from_compare() -> None:
    """The plan of a variant says which line set it."""
    compared = loads(ONE_PHASE + COMPARE, "made.yaml").comparison
    assert compared is not None
    assert Origin("file", "made.yaml:13") == compared.variants[0][1].origins["hosts.h.mmu.mode"]


def test_a_fault_of_one_variant_says_which() -> None:
    """The first fits into its host and the second does not: the host's line is shown, and the value that did it."""
    text = refused("compare: {vms.web.memory: [4MiB, 128MiB]}\n", sets=["vms.web.backing=at_start"])
    assert "made.yaml:7:15: error: hosts.h.memory: found 64MiB, expected at least" in text
    assert "made.yaml:13:34: note: in the variant with this value" in text
    assert text.endswith("1 error")


@pytest.mark.parametrize(
    ("option", "column", "message"),
    [
        ("mmu.mode", 1, "found no path=value,value, expected for instance mmu.mode=native,nested"),
        ("mmu mode=1,2", 1, "found no path=value,value, expected for instance mmu.mode=native,nested"),
        ("mmu.mode=native", 10, "compare.mmu.mode: found 1, expected at least 2 items"),
        ("mmu.mode=native,nativ", 17, "hosts.h.mmu.mode: found 'nativ', expected one of native, nested, shadow, para"),
        ("mmu.mod=native,nested", 5, "found 'mod', expected a key of hosts.h.mmu"),
        ("tables=a,b", 1, "compare: found tables, expected a setting that changes the run"),
        ("mmu.mode=native,native", 10, "compare.mmu.mode: found 'native' twice, expected each once"),
        ("vms.web.workload=scan,vm", 23, "compare.vms.web.workload: found a second column 'vm', expected"),
    ],
)
def test_a_wrong_comparison_is_shown_where_it_was_typed(option: str, column: int, message: str) -> None:
    """File `--compare`, line 1, and the column of what is wrong."""
    first = refused("", compare=option).splitlines()[0]
    assert first.startswith(f"--compare:1:{column}: error: {message}")


def test_an_expected_failure_excludes_a_comparison() -> None:
    """A run that must fail leaves nothing to compare."""
    text = refused(COMPARE + "expect: {error: out_of_frames}\n")
    assert "made.yaml:13:1: error: compare: found compare beside expect.error, expected one of them" in text
