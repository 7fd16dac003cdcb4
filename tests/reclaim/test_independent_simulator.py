"""libcachesim, where it is installed, misses as often on a generated stream and on those of real programs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vmcfg.reclaim.replay import next_uses, replay
from vmcfg.scenario.spec import Trace
from vmcfg.workload.traces import read

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "scenarios" / "data"
POLICIES = ("fifo", "lru", "clock", "clock_referenced", "sieve", "lfu", "lru2", "opt")
RECORD = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])
NEVER = 1 << 62

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("libcachesim"), reason="libcachesim is not installed")


def skewed() -> np.ndarray:
    """The smallest of three draws: low pages are the hot ones."""
    return np.random.default_rng(4).integers(0, 5_000, (60_000, 3)).min(axis=1).astype(np.int32)


def program(name: str) -> np.ndarray:
    """The beginning of a real program's accesses, each run of one page once."""
    records = read(Trace(name, DATA / f"{name}.u32.zst", "records")).records >> 2
    return records[np.flatnonzero(np.diff(records.astype(np.int64), prepend=-1))][:150_000]


def guest(name: str) -> np.ndarray:
    """What a whole guest accessed, epoch after epoch."""
    return read(Trace(name, DATA / f"{name}.gpa.zst", "guest_physical")).records >> 2


def written(pages: np.ndarray, path: Path) -> Path:
    records = np.zeros(len(pages), RECORD)
    following = next_uses(pages)
    records["id"], records["size"] = pages.astype(np.uint64) + 1, 1
    records["next"] = np.where(following == NEVER, -1, following)
    path.write_bytes(records.tobytes())
    return path


@pytest.mark.parametrize(
    ("pages", "capacities"),
    [(skewed, (30, 400, 2_000)), (lambda: program("sort"), (16, 64, 200)), (lambda: program("sqlite"), (16, 64, 200)),
     (lambda: guest("boot"), (4_096, 8_192, 16_384)), (lambda: guest("sqlite_guest"), (4_096, 8_192, 16_384))],
    ids=["skewed", "sort", "sqlite", "a guest that boots", "a guest with sqlite"],
)
def test_an_independent_simulator_misses_as_often(
    pages: Callable[[], np.ndarray], capacities: tuple[int, ...], tmp_path: Path
) -> None:
    """Seven policies, one of them in both readings, at three sizes each."""
    stream = pages()
    path = written(stream, tmp_path / "requests")
    for capacity in capacities:
        command = [sys.executable, str(HERE / "peer.py"), str(path), str(capacity), *POLICIES]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        assert [replay(stream, capacity, policy) for policy in POLICIES] == list(map(int, found.stdout.split()))
