"""Accessed and dirty sets of a whole guest: little-endian u32, `page << 1 | store`, 0xffffffff ends an epoch.

Of each epoch, each guest-physical page stands once where it was first accessed, and once more where it was first
stored to: what a scan of A and D bits sees that clears them each time. Whoever looks no finer than an epoch may use
them (which pages need frames, which are cold); they say nothing of TLBs, of counts of accesses, or of the order of
those in between. The pages are the guest's own, below its page tables, its kernel's among them. What stands behind
the last end is an epoch that was cut short.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.workload.traces.source import Source

RECORD_BYTES = 4
END_OF_EPOCH = 0xFFFFFFFF
LOAD, STORE = 1, 2


def epochs(source: Source) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield (pages int64, kinds uint8, after how many of them epochs end) of the records in order."""
    done = 0
    ended = True
    for block in source.blocks(RECORD_BYTES):
        words = np.frombuffer(block, "<u4")
        is_end = words == END_OF_EPOCH
        is_twice = is_end & np.concatenate(([ended], is_end[:-1]))
        if is_twice.any():
            where = source.record(done + int(np.flatnonzero(is_twice)[0]))
            raise source.fault(where, "the end of an epoch in which no page was accessed", "a page before it")
        kept = words[~is_end]
        ends = np.flatnonzero(is_end) - np.arange(int(is_end.sum()))
        yield (kept >> 1).astype(np.int64), np.where(kept & 1, STORE, LOAD).astype(np.uint8), ends
        ended = bool(is_end[-1])
        done += len(words)
