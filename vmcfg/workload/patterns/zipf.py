"""`zipf`: rank r is drawn in proportion to r^-alpha, as people ask for words, pages and keys.

`workload.zipf` has the law, exactly, and the sampler.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.rng import mix, word
from vmcfg.workload.patterns.drawn import SPARE_WORD, WORDS
from vmcfg.workload.zipf import draw


@kernel
def rank(m, drawn, key, touch, nth):
    """Draw until a rank is accepted: attempt a takes the same words of the stream with the key mix(key + a)."""
    index = touch * WORDS
    found = draw(m.work.zipf, drawn.zipf_place, word(key, index), word(key, index + SPARE_WORD))
    attempt = np.uint64(0)
    while found < 0:
        attempt += np.uint64(1)
        again = mix(key + attempt)
        found = draw(m.work.zipf, drawn.zipf_place, word(again, index), word(again, index + SPARE_WORD))
    return found
