"""Runs command lines, each set in a forked process that may hang, eat memory or die without harm to anybody.

Requests come as lines of JSON on standard input, {"folder": where to stand, "commands": [[argument, …], …]}, and are
answered on standard output: [{"code", "out", "err"}, …] of the commands, then what the process as a whole has taken:
{"seconds", "bytes", "status"} (status as of wait; a process that takes too long is killed).
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KILOBYTE = 1024  # the unit of ru_maxrss on Linux


def serve(most_seconds: int) -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile("w+") as answers:
            child = os.fork()
            if not child:
                _run_all(request, answers)
            began = time.monotonic()
            status, used = _wait(child, most_seconds)
            answers.seek(0)
            ran = [json.loads(answer) for answer in answers]
        whole = {"seconds": time.monotonic() - began, "bytes": used.ru_maxrss * KILOBYTE, "status": status}
        print(json.dumps([*ran, whole]), flush=True)


def run(arguments: list[str]) -> dict[str, Any]:
    """Run one command line in this process."""
    from vmcfg.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def _warm_up(scenarios: list[str]) -> None:
    """Have everything imported, and compiled if it is not yet."""
    for scenario in scenarios:
        warm = run(["run", scenario])
        assert warm["code"] == 0, warm["err"]


def _run_all(request: dict[str, Any], answers: Any) -> None:
    os.chdir(request["folder"])
    for arguments in request["commands"]:
        print(json.dumps(run(arguments)), file=answers, flush=True)
    os._exit(0)


def _wait(child: int, most_seconds: int) -> tuple[int, resource.struct_rusage]:
    """Wait for a process, but not for ever; polling begins fast because most examples end at once."""
    pause, left = 0.001, float(most_seconds)
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return status, used
        time.sleep(pause)
        left -= pause
        pause = min(0.05, pause * 1.2)
        if left < 0:
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    os.sched_getaffinity = lambda _: {0}  # hosts one after the other in this very process, which is what is measured
    scenarios = [str(Path(scenario).resolve()) for scenario in sys.argv[2:]]
    if not (compiler := os.fork()):
        _warm_up(scenarios)
        os._exit(0)
    os.waitpid(compiler, 0)  # what compiling takes would be counted for every fork
    _warm_up(scenarios)
    serve(int(sys.argv[1]))
