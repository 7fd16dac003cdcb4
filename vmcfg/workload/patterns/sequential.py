"""`sequential`: page after page, then from the start again. LRU's worst case as soon as it does not fit."""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel


@kernel
def rank(m, drawn, key, touch, nth):
    """Return the page of the nth step."""
    return nth % drawn.pages


@kernel
def following(drawn, rank):
    """Return the page of the step after, without a division."""
    return rank + 1 if rank + 1 < drawn.pages else np.int64(0)
