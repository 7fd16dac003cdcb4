"""The linters are part of the gate: what they would say in an editor is said here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


COMMANDS = [("ruff", "check", "--quiet", "--no-cache", "."), ("mypy", "vmcfg")]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_linters_have_nothing_to_say(command: tuple[str, ...]) -> None:
    """Style, unused names, likely bugs; and that every value has the type it claims."""
    found = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert (0, "") == (found.returncode, "" if found.returncode == 0 else found.stdout + found.stderr)
