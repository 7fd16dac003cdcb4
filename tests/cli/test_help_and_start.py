"""What a command costs before it does anything, and what it says about itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import vmcfg
from vmcfg.cli.main import COMMANDS, main
from vmcfg.errors import InvalidScenario, NothingSelected, RunFailed, UsageError

CHECKOUT = Path(vmcfg.__file__).resolve().parents[1]
SMALLEST = CHECKOUT / "tests" / "scenario" / "good" / "smallest.yaml"
HEAVY = ("numba", "numpy", "llvmlite", "tabulate", "tqdm")
TELL = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"


def _loaded(code: str) -> str:
    ran = subprocess.run([sys.executable, "-c", f"{code}\n{TELL}"], capture_output=True, text=True, check=True)
    return ran.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"], ["validate", str(SMALLEST)]])
def test_help_and_validate_load_no_numba_and_no_numpy(arguments: list[str]) -> None:
    """Looking something up and checking a file must not cost the start of a compiler."""
    assert "[]" == _loaded(f"from vmcfg.cli.main import main; main({arguments!r})")


def test_importing_vmcfg_loads_nothing() -> None:
    """A notebook pays for what it uses."""
    assert "[]" == _loaded("import vmcfg; vmcfg.load")


def test_planning_loads_no_numba() -> None:
    """A plan is arithmetic on integers."""
    assert "[]" == _loaded(f"from vmcfg.cli.main import main; main(['plan', {str(SMALLEST)!r}])")


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.NAME)
def test_each_command_explains_itself(command, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    """Help has a description, examples that begin with the command, and the exit codes."""
    assert 0 == main([command.NAME, "--help"])
    text = capsys.readouterr().out
    assert "\nexamples:\n  vmcfg " + command.NAME in text
    assert "exit codes:" in text
    assert command.HELP in capsys.readouterr().out or len(command.HELP) < 60


def test_a_command_line_without_a_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    """It is wrong all the same."""
    assert (2, "") == (main([]), capsys.readouterr().out)
    main([])
    text = capsys.readouterr().err
    assert [] == [command.NAME for command in COMMANDS if f"\n    {command.NAME}" not in text]


def test_the_version_is_the_packages() -> None:
    """One version, said in two files."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == vmcfg.__version__


def test_python_m_is_the_same_command() -> None:
    """`python -m vmcfg` needs no script on the path."""
    ran = subprocess.run([sys.executable, "-m", "vmcfg", "--version"], capture_output=True, text=True, check=True)
    assert f"vmcfg {vmcfg.__version__}\n" == ran.stdout


def test_exit_codes_are_those_of_the_help() -> None:
    """Each class of failure has its number, and the help lists it."""
    assert (2, 3, 4, 5) == tuple(error.exit_code for error in (UsageError, InvalidScenario, RunFailed, NothingSelected))
