"""A command killed at any moment leaves each file whole or not there, and nothing that a later run trips over."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from killing import assert_nothing_is_half_done, contents, environment

from vmcfg.jit.compiled import cache_directory

KILLS = 10
VMCFG = (sys.executable, "-m", "vmcfg")
COMMANDS = {
    "run": ("run", "scenarios/number_1.yaml", "--format", "csv", "--out", "results"),
    "accept": ("accept",),
    "check": ("check",),
}
PATIENCE = 300  # seconds; a machine may be busy


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_files_are_whole_or_absent(
    command: str, project: Path, copies: Path, vmcfg: Callable[..., int], tmp_path: Path
) -> None:
    """Ten kills one after the other in one project, most of them late in a run, where files are written."""
    whole = tmp_path / "whole"
    shutil.copytree(project, whole)
    began = time.monotonic()
    code = subprocess.run((*VMCFG, *COMMANDS[command]), cwd=whole, env=environment(), capture_output=True).returncode
    lasts = time.monotonic() - began
    before, after = contents(project), contents(whole)
    dice = Random(command)
    for _ in range(KILLS):
        kill_after(dice.uniform(0.4, 1.1) * lasts, project, COMMANDS[command])
        assert_nothing_is_half_done(before, contents(project), after)
    assert code == vmcfg(project, *COMMANDS[command])
    assert after == contents(project)


@pytest.mark.slow
def test_a_run_killed_while_it_compiles_leaves_a_cache_that_works(
    project: Path, tmp_path: Path, vmcfg: Callable[..., int]
) -> None:
    """Killed when the first machine code is kept; the next run compiles the rest, and says what any other says."""
    run = "run", "scenarios/number_1.yaml"
    assert 0 == vmcfg(project, *run)
    kernels = tmp_path / "kernels"
    kept = copy_kernels(kernels, but_for=("_empty", "fill_buffer"))  # one is called first, and one last
    command, own = (*VMCFG, *run), {**environment(""), "VMCFG_CACHE_DIR": str(kernels)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=project, env=own, **quiet) as killed:
        wait_for(lambda: set(kernels.rglob("*.nb?")) > kept or killed.poll() is not None)
        os.kill(killed.pid, signal.SIGKILL)
    assert not any(kernels.rglob("*.fill_buffer-*"))
    later, plain = (
        subprocess.run(command, cwd=project, env=env, capture_output=True, check=True) for env in (own, environment())
    )
    assert any(kernels.rglob("*.fill_buffer-*"))
    assert plain.stdout == later.stdout
    again = subprocess.run(command, cwd=project, env=own, capture_output=True, check=True)
    assert b"" == again.stderr, "nothing is left to be compiled"


def copy_kernels(to: Path, but_for: tuple[str, ...]) -> set[Path]:
    """Copy the machine code of all entries but some, for which a run does not take long; return its files."""
    lacking = shutil.ignore_patterns(*(f"*.{name}-*" for name in but_for))
    shutil.copytree(cache_directory(), to / cache_directory().name, ignore=lacking)
    return set(to.rglob("*.nb?"))


def kill_after(seconds: float, folder: Path, command: tuple[str, ...]) -> None:
    """Start a command and kill it like a power cut, unless it has ended before."""
    with subprocess.Popen(
        (*VMCFG, *command), cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as killed:
        try:
            killed.wait(seconds)
        except subprocess.TimeoutExpired:
            killed.kill()


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
