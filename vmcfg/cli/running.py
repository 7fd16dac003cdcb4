"""Runs an experiment for a command: announces a first compilation, and shows progress where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmcfg.api import Experiment, Outcome, Progress

COMPILING = "vmcfg: compiling kernels for hosts of this kind (half a minute or more, once on this machine) ..."
STEPS = 1000  # of the progress bar
PATIENCE = 1  # seconds before a progress bar appears


def run(
    experiment: Experiment,
    *,
    check_invariants: bool = False,
    limit_bytes: int | None = None,
    limit_touches: int | None = None,
) -> Outcome:
    """Run an experiment within limits, with progress on standard error if that is a terminal."""
    from vmcfg.engine import needs_compiling
    from vmcfg.plan.limits import MOST_TOUCHES

    if any(needs_compiling(plan) for plan in experiment.plans()):
        print(COMPILING, file=sys.stderr, flush=True)
    with _progress(experiment.scenario.name) as progress:
        return experiment.run(
            progress=progress,
            check_invariants=check_invariants,
            limit_bytes=limit_bytes,
            limit_touches=MOST_TOUCHES if limit_touches is None else limit_touches,
        )


@contextmanager
def _progress(name: str) -> Iterator[Progress | None]:
    """Give a function that moves a bar, or None: a bar in a pipe or a log helps nobody."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    tqdm.monitor_interval = 0  # it would start a thread that watches the bar; a run moves it often enough
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed} (left: {remaining})"
    with tqdm(total=STEPS, desc=name, bar_format=layout, delay=PATIENCE, leave=False, file=sys.stderr) as bar:

        def move(fraction: float, host: str) -> None:
            bar.update(int(fraction * STEPS) - bar.n)

        yield move
