"""`python -m vmcfg.engine.worker`: simulates one host of a plan that comes pickled on standard input."""

from __future__ import annotations

import pickle
import sys
from typing import Any

from vmcfg.engine.simulate import simulate_host
from vmcfg.errors import RunFailed


def main() -> None:
    """Read the task, simulate, and say what there is to say on standard output: see `engine.parallel`."""
    plan, number, check_invariants, limits = pickle.load(sys.stdin.buffer)
    try:
        run = simulate_host(plan, number, lambda share: _say("share", share), check_invariants, limits)
        _say("done", run)
    except RunFailed as error:
        _say("failed", error.code, str(error))


def _say(*words: Any) -> None:
    pickle.dump(words, sys.stdout.buffer)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
