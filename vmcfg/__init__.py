"""vmcfg: scenarios of virtualized x86 memory, simulated page by page and compared with golden tables.

    >>> import vmcfg
    >>> outcome = vmcfg.load("scenarios/quickstart.yaml").run()
    >>> outcome.tables["vms"][0]["cycles_per_access"]

Data flows one way: text → Document → Scenario → Plan → Machine → RunResult → Tables → golden verdict. Which room may
import which stands in docs/architecture.md, and a test holds the code to it.

The front wing (scenario) knows no NumPy, the machine wing (hardware to engine) knows no YAML, and both meet in plan.
Importing this package loads none of it: each command pays for what it uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmcfg.api import Experiment

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(path: Path | str, sets: Sequence[str] = (), compare: str | None = None) -> Experiment:
    """Load and check a scenario file; `sets` are edits such as `mmu.mode=native`, `compare` makes variants of it:
    `mmu.mode=native,nested`.

    Returns an Experiment to plan and run. Raises vmcfg.errors.InvalidScenario, which holds all faults.
    """
    from vmcfg import api

    return api.load(path, sets, compare)
