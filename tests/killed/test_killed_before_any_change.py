"""Whichever change of a file a command is killed before, no file is half-written and the next run does not mind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from killing import HERE, assert_nothing_is_half_done, contents, environment

COMMAND = "vmcfg.cli.main:main"
RUN = ("run", "scenarios/number_1.yaml", "--format", "csv", "--out", "results")
DIFFERS = 1

Vmcfg = Callable[..., int]


def kill_before_each_change(project: Path, copies: Path, *call: str) -> int:
    """Let a call die before each of its changes to a copy of the project; return the number of copies."""
    command = [sys.executable, str(HERE / "dying.py"), str(project), str(copies), *call]
    done = subprocess.run(command, env=environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    before, whole = contents(project), contents(copies / "whole")
    assert before != whole, "the call changed nothing"
    for moment in range(1, int(done.stdout) + 1):
        assert_nothing_is_half_done(before, contents(copies / str(moment)), whole)
    return int(done.stdout)


def the_next_runs_get_through(vmcfg: Vmcfg, copies: Path, command: tuple[str, ...], exit_code: int = 0) -> None:
    """The same command, given again where it was killed, leaves what it leaves when nobody kills it."""
    whole = contents(copies / "whole")
    for copy in copies.iterdir():
        assert exit_code == vmcfg(copy, *command)
        assert whole == contents(copy)


@pytest.mark.slow
def test_run_into_a_new_folder(project: Path, copies: Path, vmcfg: Vmcfg) -> None:
    """Four CSV files: each opened, given its mode, renamed; and their folder is made."""
    assert 13 <= kill_before_each_change(project, copies, COMMAND, *RUN)
    the_next_runs_get_through(vmcfg, copies, RUN)


@pytest.mark.slow
def test_run_over_older_results(project: Path, copies: Path, vmcfg: Vmcfg) -> None:
    """A table is an old one or a new one."""
    vmcfg(project, *RUN, "--set", "run.accesses=60")
    assert 12 <= kill_before_each_change(project, copies, COMMAND, *RUN)
    the_next_runs_get_through(vmcfg, copies, RUN)


@pytest.mark.slow
def test_accept_over_older_goldens(project: Path, copies: Path, vmcfg: Vmcfg) -> None:
    """One golden is missing, one as it should be, one differs and has its *.new beside it, one is an orphan."""
    vmcfg(project, "accept")
    goldens = project / "golden"
    os.rename(goldens / "number_1.txt", goldens / "orphan.txt")
    edited = (goldens / "number_2.txt").read_text("utf-8").replace(" 50 ", " 49 ")
    (goldens / "number_2.txt").write_text(edited, "utf-8")
    vmcfg(project, "check")
    assert 8 <= kill_before_each_change(project, copies, COMMAND, "accept")
    the_next_runs_get_through(vmcfg, copies, ("accept",))


@pytest.mark.slow
def test_check_that_differs(project: Path, copies: Path, vmcfg: Vmcfg) -> None:
    """No golden is ever touched; a *.new is there and whole, or is not there."""
    vmcfg(project, "accept", "scenarios/number_1.yaml")
    golden = project / "golden" / "number_1.txt"
    golden.write_text(golden.read_text("utf-8").replace(" 50 ", " 51 "), "utf-8")
    assert 9 <= kill_before_each_change(project, copies, COMMAND, "check")
    the_next_runs_get_through(vmcfg, copies, ("check",), DIFFERS)


@pytest.mark.slow
def test_compiling_a_kernel(tmp_path: Path, copies: Path) -> None:
    """Machine code that was half kept is compiled again, and never called."""
    (tmp_path / "empty").mkdir()
    command = [sys.executable, str(HERE / "dying.py"), str(tmp_path / "empty"), str(copies)]
    done = subprocess.run([*command, "tiny_kernel:compile_and_call"], env=environment(""), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert 4 <= int(done.stdout)
    for copy in copies.iterdir():
        subprocess.run([sys.executable, str(HERE / "tiny_kernel.py")], cwd=copy, env=environment(""), check=True)
