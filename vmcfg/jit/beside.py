"""Entries compiled in a process of their own, while this one does something else.

Numba holds one lock while it compiles, so threads would wait for each other. A worker is a fresh `python -m
vmcfg.jit.beside`: told on its standard input which entry is wanted and for which types, it leaves the machine code in
the cache, where `address_of` looks first. A worker that fails says nothing; the entry is then compiled as if there had
been none.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba

PACKAGE_PARENT = Path(__file__).resolve().parents[2]

_workers: dict[Any, subprocess.Popen[bytes]] = {}


def compile_beside(function: Any, signature: Any) -> None:
    """Begin to compile an entry in a worker, unless one has begun: many machines may be built before one is run."""
    if function in _workers:
        return
    path = os.pathsep.join([str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", __name__]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}, **quiet)
    assert worker.stdin
    wanted = function.py_func
    pickle.dump((numba.config.CACHE_DIR, wanted.__module__, wanted.__name__, signature), worker.stdin)
    worker.stdin.close()
    _workers[function] = worker


def wait_for(function: Any) -> None:
    """Wait until the worker that compiles an entry, if there is one, has ended."""
    if worker := _workers.pop(function, None):
        worker.wait()


def main() -> None:
    """Compile what standard input names."""
    numba.config.CACHE_DIR, module, name, signature = pickle.load(sys.stdin.buffer)
    getattr(importlib.import_module(module), name).compile(signature)


if __name__ == "__main__":
    main()
