"""The bad inputs and their error texts; run as a script, it writes the texts anew for a person to review.

    python tests/scenario/bad_inputs.py

Paths in the texts are relative to this folder, so that they do not depend on where the tests run.
"""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import load

HERE = Path(__file__).parent
INPUTS = sorted((HERE / "bad").glob("*.yaml"))


def error_text(path: Path) -> str:
    """What a user sees for a bad input. Raises AssertionError when the input is valid."""
    with chdir(HERE):
        try:
            load(os.path.relpath(path, HERE))
        except InvalidScenario as invalid:
            return f"{invalid}\n"
    raise AssertionError(f"{path.name} is valid")


def golden(path: Path) -> Path:
    return path.with_suffix(".txt")


if __name__ == "__main__":
    for bad in INPUTS:
        golden(bad).write_text(error_text(bad), encoding="utf-8", newline="\n")
