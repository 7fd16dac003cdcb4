"""Two yardsticks, timed in the same run: what this machine's memory and arithmetic can do at best.

The gather reads a table of the row's footprint at random places that are known beforehand. The pass draws the
words of a stream, two per touch as most touches need. Both are sums, so that no part can be left out.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import entry
from vmcfg.rng import mixed_key, mulhi, word


@entry
def gather(table, places):
    """Return the sum of table[places]."""
    total = np.int64(0)
    for i in range(places.shape[0]):
        total += table[places[i]]
    return total


@entry
def draw_pass(key, count, bound):
    """Return the sum of `count` × 2 bounded draws."""
    total = np.int64(0)
    four = np.uint64(4)
    for i in range(count):
        page = mulhi(word(key, np.uint64(i) * four), bound)
        kind = mulhi(word(key, np.uint64(i) * four + np.uint64(2)), bound)
        total += np.int64(page) + np.int64(kind)
    return total


def gather_inputs(table_bytes: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a table of so many bytes and `count` random places in it."""
    table = np.ones(table_bytes // 8, np.int64)
    return table, places(len(table), count)


def places(end: int, count: int, seed: int = 1) -> np.ndarray:
    """Return `count` random integers below `end`."""
    return np.random.Generator(np.random.PCG64(seed)).integers(0, end, count)


def stream() -> np.uint64:
    """Return the key of the stream that the pass draws."""
    return mixed_key(1, "bench")
