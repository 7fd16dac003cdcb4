"""One set-associative cache by itself, over a sequence of keys: what a simulator of caches does, without a machine."""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.data_caches import SHARED, to_front
from vmcfg.jit import by_reference, entry


@entry
def replay(all_caches, keys):
    """Look up keys (i64[n], not negative) in the last level, filling what is missed; return the number of misses."""
    caches = by_reference(all_caches)
    misses = np.int64(0)
    for position in range(keys.shape[0]):
        misses += not to_front(caches, SHARED, keys[position])
    return misses
