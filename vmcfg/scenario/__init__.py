"""Text → Document → Scenario.

`load` and `loads` are all that others need, with the values of `spec` that they return. The rest is imported when
they are called, so that commands which load no scenario do not pay for YAML and JSON Schema.

This room imports the ground (errors, units, resources) and nothing of the machine wing; neither NumPy nor numba.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmcfg.scenario.spec import Scenario


def load(path: Path | str, sets: Sequence[str] = (), compare: str | None = None) -> Scenario:
    """Loads, checks and completes a scenario file; `sets` are edits such as `run.epoch=10ms`.

    `compare`, such as `mmu.mode=native,nested`, takes the place of the scenario's own `compare:`.

    Raises InvalidScenario, which holds all faults with their positions.
    """
    from vmcfg.scenario import loading

    return loading.load(path, sets, compare)


def loads(
    text: str, name: str = "<text>", directory: Path | str | None = None, sets: Sequence[str] = (),
    compare: str | None = None,
) -> Scenario:  # fmt: skip
    """Does the same for a text. `name` stands for the file in errors; trace files are relative to `directory`."""
    from vmcfg.scenario import loading

    return loading.loads(text, name, directory, sets, compare)
