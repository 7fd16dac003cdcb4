"""Every bad input gives exactly the error text that stands beside it."""

from __future__ import annotations

from pathlib import Path

import bad_inputs
import pytest


@pytest.mark.parametrize("path", bad_inputs.INPUTS, ids=lambda path: path.stem)
def test_a_bad_input_gives_its_golden_error_text(path: Path) -> None:
    """The text is exact to the letter; after a change on purpose, bad_inputs.py writes it anew for review."""
    golden = bad_inputs.golden(path)
    assert golden.exists(), f"{golden.name} is missing: run {bad_inputs.__file__} and review what it writes"
    assert golden.read_text("utf-8") == bad_inputs.error_text(path)


def test_every_golden_error_text_has_its_input() -> None:
    """A text without input would claim something that nothing checks."""
    orphans = set(bad_inputs.HERE.glob("bad/*.txt")) - {bad_inputs.golden(path) for path in bad_inputs.INPUTS}
    assert not orphans


def test_there_are_at_least_sixty_bad_inputs() -> None:
    """The errors are a feature; their examples must not melt away."""
    assert len(bad_inputs.INPUTS) >= 60


@pytest.mark.parametrize("path", bad_inputs.INPUTS, ids=lambda path: path.stem)
def test_every_error_says_what_was_found(path: Path) -> None:
    """`found …` or `… is not built yet` stands in each headline, so that no fault is told in the checker's words."""
    headlines = [line for line in bad_inputs.golden(path).read_text("utf-8").splitlines() if ": error: " in line]
    assert headlines
    assert all("found " in line or "is not built yet" in line for line in headlines)
