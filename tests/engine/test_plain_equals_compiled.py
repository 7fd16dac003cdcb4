"""Kernels are plain functions: run as Python, where every index is checked, they leave the same behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import digests
import pytest

import vmcfg

HERE = Path(__file__).parent
PATHS = [str(Path(vmcfg.__file__).parents[1]), str(HERE.parent), str(HERE)]
PLAIN = {**os.environ, "VMCFG_KERNELS": "plain", "VMCFG_EXAMPLES": "6", "PYTHONPATH": os.pathsep.join(PATHS)}
PLAIN.pop("VMCFG_FUZZ", None)


def run_plain(*arguments: str) -> str:
    """Run Python with kernels that are left uncompiled; return what it prints."""
    found = subprocess.run([sys.executable, *arguments], env=PLAIN, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


def test_digests_and_counts_are_the_same_without_a_compiler(tmp_path: Path) -> None:
    """Every checkpoint of every subsystem, over all modes, patterns and kinds of caches."""
    plain = json.loads(run_plain(str(HERE / "digests.py"), str(tmp_path)))
    compiled = json.loads(json.dumps({"is_plain": False, "results": digests.results(tmp_path)}))
    assert plain.pop("is_plain")
    assert compiled.pop("is_plain") is False
    assert compiled == plain
    checkpoints = [len(host["checkpoints"]) for result in plain["results"].values() for host in result["hosts"]]
    assert min(checkpoints) > 2


@pytest.mark.slow
def test_the_plain_engine_counts_what_the_oracle_counts() -> None:
    """The comparison with the oracle, on fewer machines, in a process without numba."""
    run_plain("-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "test_engine_equals_oracle.py"))
