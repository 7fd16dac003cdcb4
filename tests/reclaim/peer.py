"""Replays a file of requests in libcachesim, in a process of its own: odd input can take the process with it.

    python peer.py FILE CAPACITY POLICY …        prints the misses of each policy on a line

FILE holds records of 24 bytes (time u32, id u64, size u32, next access i64), ids from 1.
"""

from __future__ import annotations

import sys
from pathlib import Path

import libcachesim as peer

RECORD_BYTES = 24
MAKERS = {
    "fifo": lambda size: peer.FIFO(cache_size=size, hashpower=16),
    "lru": lambda size: peer.LRU(cache_size=size, hashpower=16),
    "clock": lambda size: peer.Clock(cache_size=size, hashpower=16, init_freq=0, n_bit_counter=1),
    "clock_referenced": lambda size: peer.Clock(cache_size=size, hashpower=16, init_freq=1, n_bit_counter=1),
    "sieve": lambda size: peer.Sieve(cache_size=size, hashpower=16),
    "lfu": lambda size: peer.LFU(cache_size=size, hashpower=16),
    "lru2": lambda size: peer.LRUK(cache_size=size, hashpower=16, k=2),
    "opt": lambda size: peer.Belady(cache_size=size, hashpower=16),
}


def misses(path: str, capacity: int, policy: str) -> int:
    """A reader and a cache are used once; what comes back is a ratio."""
    parameters = peer.ReaderInitParam(ignore_obj_size=True)
    reader = peer.TraceReader(path, peer.TraceType.ORACLE_GENERAL_TRACE, parameters)
    ratio, _ = MAKERS[policy](capacity).process_trace(reader)
    return round(ratio * (Path(path).stat().st_size // RECORD_BYTES))


if __name__ == "__main__":
    print(*(misses(sys.argv[1], int(sys.argv[2]), policy) for policy in sys.argv[3:]), sep="\n")
