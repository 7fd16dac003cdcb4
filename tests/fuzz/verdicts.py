"""What must hold of a command line, whatever it is given: an exit code that is documented and an explanation."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SCENARIOS = sorted((HERE / "scenarios").glob("*.yaml"))
LIMITS = ("--limit", "256MiB", "--limit-accesses", "1M")
MOST_BYTES = 500_000_000
MOST_SECONDS = 20

FINE, DIFFERS, INVALID, FAILED = 0, 1, 3, 4
POSITIONED = re.compile(r"[^:\n]+:[1-9]\d*:[1-9]\d*: error: \S")
COUNTED = re.compile(r"[1-9]\d* errors?(, \d+ not shown)?$")

Ran = dict[str, Any]


class Server:
    """A process that runs command lines in forks of itself."""

    def __init__(self, folder: Path) -> None:
        """Run the unmutated scenarios in a folder that has their inputs: what they use is compiled then."""
        root, tests = HERE.parents[1], HERE.parent
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root), str(tests)))}
        warm = [shutil.copy(path, folder) for path in SCENARIOS]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), str(MOST_SECONDS), *map(str, warm)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip

    def ask(self, folder: Path, commands: Sequence[Sequence[str]]) -> list[Ran]:
        """Run command lines in a folder; returns how each went, then what the process took as a whole."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps({"folder": str(folder), "commands": commands}), file=self._process.stdin, flush=True)
        answer: list[Ran] = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def whatever_happens_is_explained(server: Server, folder: Path, scenario: str) -> list[int]:
    """Validate, plan and run a scenario that lies in a folder, and judge; returns the three exit codes."""
    commands = (("validate", scenario), ("plan", scenario), ("run", scenario, *LIMITS))
    *ran, whole = server.ask(folder, commands)
    assert whole["status"] == 0, f"killed after {whole['seconds']:.1f} s in {commands[len(ran)][0]}"
    assert whole["bytes"] < MOST_BYTES, f"took {whole['bytes'] >> 20} MiB"
    for each in ran:
        _is_explained(each)
    _agree(*ran)
    return [each["code"] for each in ran]


def _is_explained(ran: Ran) -> None:
    code, out, err = ran["code"], ran["out"], ran["err"]
    for word in ("Traceback", "internal error", "\x00", "\x1b"):
        assert word not in out + err, err
    if code == FINE:
        assert out
    elif code == DIFFERS:
        assert "claim failed" in err, err
    elif code == INVALID:
        assert POSITIONED.match(err), err
        assert COUNTED.search(err.rstrip()), err
    else:
        assert code == FAILED, (code, err)
        assert err.startswith("vmcfg: error: "), err
        assert len(err) > len("vmcfg: error: \n"), err


def _agree(validated: Ran, planned: Ran, ran: Ran) -> None:
    """What is not valid is refused by all three in the same words; what is valid is never called invalid later."""
    assert validated["code"] in (FINE, INVALID)
    if validated["code"] == INVALID:
        assert validated["err"] == planned["err"] == ran["err"]
    else:
        assert INVALID not in (planned["code"], ran["code"]), planned["err"] + ran["err"]
