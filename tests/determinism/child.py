"""Runs scenarios in a process of its own, in surroundings that the parent chose, and reports both as JSON.

    python child.py SCENARIO ...        prints {"facts": {name: value}, "texts": {scenario: golden text}}

The facts are asked of the libraries themselves, so that a test can see that a change has arrived: an environment
variable that nobody reads would otherwise prove that nothing depends on it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
# What may be set where the tests run, and would hide a change or make one.
OWN = ("PYTHON", "LC_", "LANG", "TZ", "NUMBA_", "OMP_", "NPY_", "VMCFG_KERNELS")
USUAL = {
    "PYTHONHASHSEED": "0", "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8", "TZ": "UTC",
    "NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2",
}  # fmt: skip


class Report(NamedTuple):
    """What a child says: the facts by name, and the golden text of each scenario."""

    facts: dict[str, Any]
    texts: dict[str, str]


def run_child(scenarios: Iterable[Path], changes: Mapping[str, str], folder: Path = ROOT) -> Report:
    """Run scenarios in a child that stands in `folder`, its environment the usual one with some changes."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
    command = [sys.executable, __file__, *map(str, scenarios)]
    environment = {**kept, **USUAL, **changes}
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, encoding="ascii", check=False)
    assert done.returncode == 0, done.stderr
    return Report(**json.loads(done.stdout))


def dispatched_features() -> list[str]:
    """Return the processor's features, beyond the least that NumPy needs, for which NumPy has code of its own."""
    numpy_core = import_module("numpy._core._multiarray_umath")  # private, and the only place that tells
    return [name for name in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[name]]


def facts() -> dict[str, Any]:
    """Return what this process stands in, as the libraries see it."""
    import numba
    from numba.core.registry import cpu_target

    from vmcfg.jit import PLAIN

    return {
        "hash seed": hash("vmcfg"),
        "working directory": os.getcwd(),
        "locale": sys.getfilesystemencoding(),
        "time zone": time.timezone,
        "threads": numba.config.NUMBA_NUM_THREADS,
        "processor": list(cpu_target.target_context.codegen().magic_tuple()[1:]),
        "vector code": dispatched_features(),
        "kernels": "plain" if PLAIN else "compiled",
    }


def text_of(scenario: str) -> str:
    """Run one scenario; return its tables and digests as a golden file holds them."""
    import vmcfg
    from vmcfg.golden.text import render

    return render(vmcfg.load(scenario).run())


if __name__ == "__main__":
    print(json.dumps({"facts": facts(), "texts": {scenario: text_of(scenario) for scenario in sys.argv[1:]}}))
