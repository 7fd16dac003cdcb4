"""libcachesim simulates caches of objects; with objects of size one it replays pages through a replacement policy.

It reads requests from its own binary format and looks each up in a hash table, whose size is up to the user: it runs
at the best of several. vmcfg replays dense page numbers. Making them of ids of 64 bits is reported apart.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vmcfg.bench.race import ROUNDS, Race
from vmcfg.bench.yardsticks import places
from vmcfg.reclaim.replay import replay
from vmcfg.workload.traces.interning import Interner
from vmcfg.workload.zipf import weights

MODULE = "libcachesim"
PAGES = 1_000_000
CAPACITY = 100_000
ACCESSES = 4_000_000
POLICIES = ("lru", "clock", "fifo")
HASH_POWERS = (16, 17, 18)
RECORD = np.dtype([("time", "<u4"), ("id", "<u8"), ("size", "<u4"), ("next", "<i8")])


def races() -> Iterator[Race]:
    """Race in the policies of which all others are made, on skewed accesses."""
    for alpha in ("0.8", "1"):
        ids = _skewed(alpha)
        pages, load_seconds = _interned(ids)
        with tempfile.TemporaryDirectory() as folder:
            file = _written(ids, Path(folder) / "requests")
            for policy in POLICIES:
                name = f"{CAPACITY} of {PAGES} pages, zipf {alpha}, {policy}"
                yield Race(name, MODULE, *_raced(pages, file, policy, load_seconds))


def _raced(pages: np.ndarray, file: str, policy: str, load_seconds: float) -> tuple[int, int, float, float, float]:
    """Take turns, after a round that compiles, and return what a Race holds: the best of each."""
    ours = [_ours(pages, policy)]
    theirs = []
    for _ in range(ROUNDS):
        ours.append(_ours(pages, policy))
        theirs += [_theirs(file, policy, power) for power in HASH_POWERS]
    seconds, peer_seconds = (min(seconds for _, seconds in runs) for runs in (ours[1:], theirs))
    return ours[0][0], theirs[0][0], seconds, load_seconds, peer_seconds


def _ours(pages: np.ndarray, policy: str) -> tuple[int, float]:
    started = time.perf_counter()
    misses = replay(pages, CAPACITY, policy)
    return misses, time.perf_counter() - started


def _theirs(file: str, policy: str, hash_power: int) -> tuple[int, float]:
    import libcachesim as peer

    size = {"cache_size": CAPACITY, "hashpower": hash_power}
    if policy == "clock":
        cache = peer.Clock(**size, init_freq=0, n_bit_counter=1)
    else:
        cache = {"lru": peer.LRU, "fifo": peer.FIFO}[policy](**size)
    parameters = peer.ReaderInitParam(ignore_obj_size=True)
    reader = peer.TraceReader(file, peer.TraceType.ORACLE_GENERAL_TRACE, parameters)
    started = time.perf_counter()
    ratio, _ = cache.process_trace(reader)
    return round(ratio * ACCESSES), time.perf_counter() - started


def _skewed(alpha: str) -> np.ndarray:
    """Return ids from 1 in random order, u64[accesses]; rank r is drawn in proportion to r^-alpha."""
    sums = np.cumsum(weights(PAGES, alpha))
    ranks = np.searchsorted(sums, places(int(sums[-1]), ACCESSES), side="right")
    order = np.argsort(places(1 << 62, PAGES, 2))
    return (order[ranks] + 1).astype(np.uint64)


def _interned(ids: np.ndarray) -> tuple[np.ndarray, float]:
    """Return dense page numbers, and the seconds that making them takes, the best of some rounds."""
    seconds = []
    for _ in range(1 + ROUNDS):
        interner = Interner()
        started = time.perf_counter()
        interner.add(ids.view(np.int64), np.ones(len(ids), np.uint8))
        seconds.append(time.perf_counter() - started)
    records, _ = interner.take()
    return records >> 2, min(seconds[1:])


def _written(ids: np.ndarray, path: Path) -> str:
    """Write requests in the peer's format; the policies here need no times of next requests."""
    records = np.zeros(len(ids), RECORD)
    records["id"], records["size"], records["next"] = ids, 1, -1
    path.write_bytes(records.tobytes())
    return str(path)
