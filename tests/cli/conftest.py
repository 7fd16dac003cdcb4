"""Projects made in a temporary folder, and a command line that runs in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from vmcfg.cli.main import main

SMALL = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: A small one}
run: {accesses: 2000}
hosts:
  h: {memory: 8MiB, mmu: {mode: nested}}
vms:
  web: {memory: 2MiB, workload: scan}
workloads:
  scan: {phases: [{pattern: {kind: uniform, size: 1MiB}}]}
"""


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def vmcfg(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command line; returns (exit code, standard output, standard error)."""

    def run(*arguments: str | Path) -> Ran:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the scenarios `small` and `more/native`, and no goldens; the working directory."""
    (tmp_path / "scenarios" / "more").mkdir(parents=True)
    (tmp_path / "scenarios" / "small.yaml").write_text(SMALL, "utf-8")
    (tmp_path / "scenarios" / "more" / "native.yaml").write_text(SMALL.replace("nested", "native"), "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    return tmp_path
