"""Calls a function again and again, and dies before its first change of a file, its second, … until it gets through.

    python dying.py TEMPLATE COPIES MODULE:FUNCTION ARGUMENT ...

Each time the folder TEMPLATE is copied to COPIES/1, COPIES/2, … and the function is called there, in a forked process
that an audit hook kills like a power cut. The function first gets through once in COPIES/whole, which also has all
modules imported. Prints how many deaths there were.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.link", "os.symlink", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def main(template: Path, copies: Path, act: Callable[[], Any]) -> int:
    _in_copy(template, copies / "whole", act)
    for moment in count(1):
        child = os.fork()
        if not child:
            _in_copy(template, copies / str(moment), partial(_act_until, moment, act))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            shutil.rmtree(copies / str(moment))
            return moment - 1
    raise AssertionError


def _in_copy(template: Path, copy: Path, act: Callable[[], Any]) -> None:
    shutil.copytree(template, copy)
    os.chdir(copy)
    act()


def _act_until(moment: int, act: Callable[[], Any]) -> None:
    left = moment
    here = os.getcwd()

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if _is_change(event, arguments, here):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    act()


def _is_change(event: str, arguments: tuple[Any, ...], here: str) -> bool:
    if event not in CHANGES and not (event == "open" and arguments[2] & WRITING):
        return False
    return isinstance(arguments[0], str | os.PathLike) and os.path.abspath(arguments[0]).startswith(here)


if __name__ == "__main__":
    template, copies, function, *rest = sys.argv[1:]
    module, name = function.split(":")
    found = getattr(import_module(module), name)
    saved = os.dup(1)
    os.dup2(2, 1)  # what the function prints is not what we say
    deaths = main(Path(template).resolve(), Path(copies).resolve(), lambda: found(*([rest] if rest else [])))
    os.write(saved, str(deaths).encode())
