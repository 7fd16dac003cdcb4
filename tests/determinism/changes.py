"""Everything around a run that must not matter: each change by the name that `child.facts` gives to what it changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

Environment = dict[str, str]

SIMPLE: dict[str, Environment] = {
    "hash seed": {"PYTHONHASHSEED": "4242"},
    # Python would make UTF-8 of the locale C by itself; told not to, it reads names and writes text as ASCII.
    "locale": {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "time zone": {"TZ": "XXX-14"},
    "threads": {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
}
PLAIN: Environment = {"VMCFG_KERNELS": "plain"}


def generic_processor(kernels: Path) -> Environment:
    """Compile for any processor of this kind; the machine code is kept in the folder `kernels`."""
    return {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "VMCFG_CACHE_DIR": str(kernels)}


def without_vector_code(features: Sequence[str]) -> Environment:
    """Let NumPy use none of these features of the processor."""
    return {"NPY_DISABLE_CPU_FEATURES": " ".join(features)} if features else {}


def everything(kernels: Path, features: Sequence[str]) -> Environment:
    """All changes that leave kernels compiled, at once."""
    changes = generic_processor(kernels) | without_vector_code(features)
    for change in SIMPLE.values():
        changes |= change
    return changes
