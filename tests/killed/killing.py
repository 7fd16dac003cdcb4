"""How commands are run to be killed, and what they may leave: each file as it was, as it becomes, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
UNFINISHED = ".tmp"


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder by relative path, but for what a killed command leaves under a hidden name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not is_unfinished(path)
    }


def is_unfinished(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(UNFINISHED)


def assert_nothing_is_half_done(before: dict[str, bytes], killed: dict[str, bytes], whole: dict[str, bytes]) -> None:
    """Every file is as before the command or as after it; none is there that neither knows."""
    for name, found in killed.items():
        assert found in (before.get(name), whole.get(name)), name
    for name in before.keys() & whole.keys():
        assert name in killed, f"{name} was there before and would be there afterwards"


def environment(kernels: str = "plain") -> dict[str, str]:
    """Return what a process of its own needs; with interpreted kernels, because it starts faster then."""
    paths = os.pathsep.join((str(HERE.parents[1]), str(HERE)))
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**kept, "PYTHONPATH": paths, "VMCFG_KERNELS": kernels, "COLUMNS": "120"}
