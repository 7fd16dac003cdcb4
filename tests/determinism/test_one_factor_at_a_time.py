"""Nothing around a run matters: factor by factor, on four small scenarios that touch every part of the machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from changes import PLAIN, SIMPLE, generic_processor, without_vector_code
from child import ROOT, Report, dispatched_features, run_child

import vmcfg
from vmcfg.engine.work import KINDS
from vmcfg.golden.text import parse
from vmcfg.hardware.assoc import POLICIES

SCENARIOS = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))


@pytest.fixture(scope="module")
def usual() -> Report:
    """The four scenarios with nothing changed."""
    return run_child(SCENARIOS, {})


def changes_one_fact_and_no_text(factor: str, usual: Report, changed: Report) -> None:
    """The change has arrived, has come alone, and moves no byte of any table or digest."""
    assert [factor] == [name for name in usual.facts if usual.facts[name] != changed.facts[name]]
    assert usual.texts == changed.texts


@pytest.mark.parametrize("factor", SIMPLE)
def test_what_the_environment_says_does_not_matter(factor: str, usual: Report) -> None:
    """Order of hashes, encoding of names and texts, time zone, number of threads."""
    changes_one_fact_and_no_text(factor, usual, run_child(SCENARIOS, SIMPLE[factor]))


def test_the_working_directory_does_not_matter(usual: Report, tmp_path: Path) -> None:
    """Paths in a scenario are relative to its file, and no path enters a digest."""
    changes_one_fact_and_no_text("working directory", usual, run_child(SCENARIOS, {}, tmp_path))


def test_the_vector_code_of_numpy_does_not_matter(usual: Report) -> None:
    """With AVX-512 masked, NumPy's exp and log change in the last bit; nothing of ours may come from them."""
    features = dispatched_features()
    if not features:
        pytest.skip("this processor has nothing to switch off")
    changed = run_child(SCENARIOS, without_vector_code(features))
    assert [] == changed.facts["vector code"]
    changes_one_fact_and_no_text("vector code", usual, changed)


def test_interpreted_kernels_give_what_compiled_ones_give(usual: Report) -> None:
    """Integers of Python that wrap nowhere, and integers of the machine."""
    changes_one_fact_and_no_text("kernels", usual, run_child(SCENARIOS, PLAIN))


@pytest.mark.slow
def test_the_processor_compiled_for_does_not_matter(usual: Report, generic_kernels: Path) -> None:
    """Kernels for any x86-64, without vectors of more than 128 bits."""
    changed = run_child(SCENARIOS, generic_processor(generic_kernels))
    assert ["generic", ""] == changed.facts["processor"]
    changes_one_fact_and_no_text("processor", usual, changed)


def test_the_scenarios_are_four_and_small(usual: Report) -> None:
    """What runs as plain Python has to be."""
    assert ["nested_cold", "program_trace", "several_vms", "two_layers"] == [path.stem for path in SCENARIOS]
    assert {str(path) for path in SCENARIOS} == set(usual.texts)
    assert ROOT in SCENARIOS[0].parents


def test_the_scenarios_meet_everything_that_could_depend_on_a_factor(usual: Report) -> None:
    """A factor that no scenario meets proves nothing: each pattern draws, both policies evict, every digest moves."""
    scenarios = [vmcfg.load(path).scenario for path in SCENARIOS]
    phases = [phase for each in scenarios for workload in each.workloads for phase in workload.phases]
    assert {*KINDS, "mixture"} == {phase.pattern.kind for phase in phases if phase.pattern}
    assert set(POLICIES) == {host.cpu.l1_tlb.policy for each in scenarios for host in each.hosts if host.cpu.l1_tlb}
    blocks = [block for text in usual.texts.values() for block in parse(text).blocks if block.kind == "digests"]
    moved = {
        name
        for block in blocks
        for name, first, last in zip(block.columns, block.rows[0], block.rows[-1], strict=True)
        if first != last
    }
    assert set(blocks[0].columns) == moved


def test_one_scenario_pages_in_both_layers(usual: Report) -> None:
    """Pages leave and come back in the guest and under it, some twice; a balloon grows, and a cache compresses."""
    (text,) = (text for name, text in usual.texts.items() if Path(name).stem == "two_layers")
    tables = {block.name: block for block in parse(text).blocks if block.kind == "table"}
    moved = {
        column
        for table in (tables["paging"], tables["compression"])
        for column, *cells in zip(table.columns, *table.rows, strict=True)
        if any(cell not in ("0", "0.000") for cell in cells)
    }
    asked = {"host_page_outs", "host_page_ins", "guest_page_outs", "guest_page_ins", "double_page_outs"}
    assert {*asked, "balloon_inflated", "compressions", "decompressions"} - moved == set()
