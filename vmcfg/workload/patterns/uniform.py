"""`uniform`: every page of the region is as likely as any other. The stream that no cache likes."""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.rng import mulhi, word
from vmcfg.workload.patterns.drawn import WORDS


@kernel
def rank(m, drawn, key, touch, nth):
    """Return a page: the high word of word × pages."""
    return np.int64(mulhi(word(key, touch * WORDS), np.uint64(drawn.pages)))
