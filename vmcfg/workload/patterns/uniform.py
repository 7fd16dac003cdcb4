"""`uniform`: every page of the region is as likely as any other. The stream that no cache likes."""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.rng import bounded, word
from vmcfg.workload.patterns.drawn import WORDS


@kernel
def rank(m, drawn, key, touch, nth):
    """Return a page: the high word of word × pages. A region has fewer than 2^32 of them."""
    return np.int64(bounded(word(key, touch * WORDS), np.uint64(drawn.pages)))
