"""In which order the tests run, and on which cores: what compiles comes first, and nothing is compiled twice.

Machine code is kept, but each process that lacks a loop first has to look through all the pieces that loops are made
of, which takes longer than the loop itself; and two processes that lack the same one both compile it. What the tests
need is therefore compiled at their start by two of them, one for this processor and one for a generic one. Those are
not watched by coverage, under which compiling takes twice as long, and neither are the slow tests, which come next.
The fast ones, which are many, fill the gaps at the end.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby, islice
from pathlib import Path

import pytest

FIRST = ("test_everything_changed_at_once.py", "test_shipped_scenarios.py")  # run whatever is shipped


def deal(items: Sequence[pytest.Item], hands: int) -> list[pytest.Item]:
    """Order tests for so many workers, which are given equal numbers of neighbours: see `--dist worksteal`.

    Slow tests of a file stay together, as they share what they have prepared.
    """
    slow = sorted(filter(_is_slow, items), key=lambda item: _place(item.path))  # otherwise in their order
    fast = (item for item in items if not _is_slow(item))
    dealt: list[list[pytest.Item]] = [[] for _ in range(hands)]
    for number, (_, tests) in enumerate(groupby(slow, key=lambda item: item.path)):
        dealt[number % hands] += tests
    left = len(items)
    for number, hand in enumerate(dealt):
        size = left // (hands - number)
        hand += islice(fast, max(0, size - len(hand)))
        left -= size
    return [item for hand in dealt for item in hand] + list(fast)


def keep_to_own_cores(worker: int, workers: int) -> None:
    """Let this process and its children use a share of the cores: others are busy, and helpers would only wait."""
    if hasattr(os, "sched_setaffinity"):  # not every operating system has it
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[worker::workers] or {cores[worker % len(cores)]})


def _is_slow(item: pytest.Item) -> bool:
    return item.get_closest_marker("slow") is not None


def _place(path: Path) -> int:
    return FIRST.index(path.name) if path.name in FIRST else len(FIRST)

