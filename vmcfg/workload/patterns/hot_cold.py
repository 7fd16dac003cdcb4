"""`hot_cold`: the first ranks get most touches, and each part is uniform. The 90/10 rule, with a sharp edge."""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.rng import bounded, word
from vmcfg.workload.patterns.drawn import MILLION, SPARE_WORD, WORDS


@kernel
def rank(m, drawn, key, touch, nth):
    """Return a rank: the spare word decides between hot and cold, the page word where in it."""
    index = touch * WORDS
    hot = np.uint64(drawn.hot_pages)
    page = word(key, index)
    if bounded(word(key, index + SPARE_WORD), MILLION) < np.uint64(drawn.hot_share_ppm):
        return np.int64(bounded(page, hot))
    return np.int64(hot + bounded(page, np.uint64(drawn.pages) - hot))
