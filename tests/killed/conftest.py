"""A project for commands that are killed, and what must hold of its files afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vmcfg.cli.main import main

SCENARIO = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Number {number}}}
seed: {number}
run: {{accesses: 50}}
hosts: {{h: {{memory: 8MiB, mmu: {{mode: nested}}}}}}
vms: {{web: {{memory: 2MiB, workload: scan}}}}
workloads: {{scan: {{phases: [{{pattern: {{kind: uniform, size: 1MiB}}}}]}}}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of three scenarios without goldens."""
    for number in (1, 2, 3):
        path = tmp_path / "project" / "scenarios" / f"number_{number}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCENARIO.format(number=number), "utf-8")
    return tmp_path / "project"


@pytest.fixture
def vmcfg(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """Run a command line in a folder to its end, in this process; returns the exit code."""
    monkeypatch.delenv("CI", raising=False)

    def run(folder: Path, *arguments: str) -> int:
        monkeypatch.chdir(folder)
        code = main(arguments)
        assert "internal error" not in capsys.readouterr().err
        return code

    return run


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[Path]:
    """A folder that many copies of a project go to, and which does not outlive the test."""
    (tmp_path / "copies").mkdir()
    yield tmp_path / "copies"
    shutil.rmtree(tmp_path / "copies")
