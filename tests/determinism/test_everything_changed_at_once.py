"""Same scenario, same bytes: every shipped scenario gives its golden where nothing around it is as usual."""

from __future__ import annotations

from pathlib import Path

import pytest
from changes import everything
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
    } == {name: fact for name, fact in facts.items() if name != "hash seed"}
    goldens = {path: PROJECT.golden_of(path).read_bytes().decode() for path in shipped}
    assert {} == {
        PROJECT.name(path): explain(golden, texts[str(path)])
        for path, golden in goldens.items()
        if golden != texts[str(path)]
    }
