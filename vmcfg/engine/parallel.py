"""Hosts side by side: each in a process of its own, with the same results as one after the other.

Hosts share nothing but the plan, so nothing has to be kept in step. A worker is a fresh `python -m
vmcfg.engine.worker` and not a pool's child: a killed worker breaks no pool, and a user's script is not imported
again. What a worker says comes as pickled pairs on its standard output: ("share", how much is done) now and
then, and at last ("done", its results) or ("failed", code, message).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vmcfg.errors import RunFailed

PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def usable_cores() -> int:
    """Return how many cores this process may use, which can be fewer than there are (`taskset`, containers)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(tasks: Sequence[Any], jobs: int, report: Callable[[int, float], None]) -> list[Any]:
    """Run each task in a worker, `jobs` at a time; return the results in the order of the tasks.

    Raises the RunFailed of the first task, in that order, that failed, once all have ended.
    """
    answers: list[Any] = [None] * len(tasks)
    slots = threading.Semaphore(jobs)
    workers: list[subprocess.Popen[bytes]] = []

    def attend(number: int) -> None:
        with slots:
            worker = _start()
            workers.append(worker)
            answers[number] = _converse(worker, tasks[number], lambda share: report(number, share))

    threads = [threading.Thread(target=attend, args=(number,), daemon=True) for number in range(len(tasks))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for worker in workers:
            worker.kill()
    return [_result(answer) for answer in answers]


def _start() -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "vmcfg.engine.worker"]
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)


def _converse(worker: subprocess.Popen[bytes], task: Any, report: Callable[[float], None]) -> Any:
    """Hand over the task and listen until the worker has said its last word, or has died."""
    assert worker.stdin
    assert worker.stdout
    try:
        pickle.dump(task, worker.stdin)
        worker.stdin.close()
        while True:
            kind, *rest = pickle.load(worker.stdout)
            if kind != "share":
                return kind, *rest
            report(rest[0])
    except (EOFError, OSError, pickle.UnpicklingError):
        return "failed", "worker_died", f"a worker process ended with code {worker.wait()} before its host was done"


def _result(answer: Any) -> Any:
    kind, *rest = answer
    if kind == "failed":
        raise RunFailed(*rest)
    return rest[0]
