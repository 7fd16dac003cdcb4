"""Same scenario, same bytes: every shipped scenario gives its golden where nothing around it is as usual."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from changes import SIMPLE, everything
from child import ROOT, dispatched_features, run_child

from vmcfg.golden.project import Project, find
from vmcfg.golden.selection import select
from vmcfg.golden.verdict import explain

PROJECT: Project = find((), ROOT)


@pytest.mark.slow
def test_shipped_scenarios_give_their_goldens_with_everything_changed_at_once(
    generic_kernels: Path, tmp_path: Path
) -> None:
    """Hash seed, working directory, locale, time zone, threads, a generic processor and NumPy without vector code."""
    shipped = [candidate.path for candidate in select(PROJECT)]
    facts, texts = run_child(shipped, everything(generic_kernels, dispatched_features()), tmp_path)
    assert {
        "working directory": str(tmp_path),
        "locale": "ascii",
        "time zone": -14 * 3600,
        "threads": 1,
        "processor": ["generic", ""],
        "vector code": [],
        "kernels": "compiled",
        "hash seed": hash_of_the_fact(),
    } == facts
    goldens = {path: PROJECT.golden_of(path).read_bytes().decode() for path in shipped}
    assert {} == {
        PROJECT.name(path): explain(golden, texts[str(path)])
        for path, golden in goldens.items()
        if golden != texts[str(path)]
    }


def hash_of_the_fact() -> int:
    """Return what the changed seed makes of the word that `child.facts` hashes: asked of a bare Python."""
    command = [sys.executable, "-c", "print(hash('vmcfg'))"]
    return int(subprocess.run(command, env=SIMPLE["hash seed"], capture_output=True, check=True).stdout)
