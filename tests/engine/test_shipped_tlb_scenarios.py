"""The scenarios under scenarios/tlb say what the naive oracle says."""

from __future__ import annotations

from pathlib import Path

import pytest
from naive_draws import scatter_with
from oracle import run as run_oracle

import vmcfg

FOLDER = Path(__file__).parents[2] / "scenarios" / "tlb"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
@pytest.mark.slow
def test_a_shipped_scenario_counts_what_the_oracle_counts(path: Path) -> None:
    """Hits and walks of every VM and phase, under LRU and under tree-PLRU."""
    experiment = vmcfg.load(path)
    oracle = run_oracle(experiment.scenario, scatter=scatter_with(experiment.scenario.seed))
    rows = {(row["vm"], row["phase"]): (row["l1_hits"], row["walks"]) for row in experiment.run().tables["translation"]}
    expected = {
        (vm, str(number)): (counters["l1_hits"], counters["walks"])
        for vm, phases in oracle.counters.items()
        for number, counters in enumerate(phases)
        if number
    }
    assert expected == {(vm, str(phase)): figures for (vm, phase), figures in rows.items()}
