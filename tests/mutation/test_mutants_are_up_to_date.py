"""The table of mutants fits the code: running them takes minutes and is done by hand, this is part of the gate."""

from __future__ import annotations

from pathlib import Path

import pytest
from mutants import MUTANTS as GENERAL
from mutants import Mutant
from mutants_of_pressure import MUTANTS as OF_PRESSURE

PACKAGE = Path(__file__).parents[2] / "vmcfg"
LEAST = 25
MUTANTS = (*GENERAL, *OF_PRESSURE)


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.breaks for mutant in MUTANTS])
def test_a_mutant_has_exactly_one_place(mutant: Mutant) -> None:
    """Whoever changes that place changes the mutant too, or takes another that breaks the same mechanism."""
    assert 1 == (PACKAGE / mutant.file).read_text("utf-8").count(mutant.old)
    assert mutant.old != mutant.new


def test_there_are_enough_mutants_and_no_two_are_the_same() -> None:
    """Each breaks something else."""
    assert len(MUTANTS) >= LEAST
    assert len(MUTANTS) == len({mutant.breaks for mutant in MUTANTS})
    assert len(MUTANTS) == len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS})
