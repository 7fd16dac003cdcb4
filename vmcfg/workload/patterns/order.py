"""From ranks to pages: in order, or scattered over the region by a named permutation."""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.rng import word


@kernel
def vpn_of(drawn, rank):
    """Return the virtual page that a rank leads to."""
    if drawn.scatter_bits:
        rank = scatter(drawn.scatter, drawn.scatter_bits, drawn.pages, rank)
    return drawn.first_vpn + rank


@kernel
def scatter(mixed_key, bits, pages, rank):
    """Return the place of `rank` under a permutation of 0 … pages - 1 (1 < pages ≤ 2^bits).

    Three rounds of xor, odd multiplication and shift are a bijection on 2^bits; walking its cycle until the
    value falls below `pages` makes one on any smaller range.
    """
    mask = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    half = np.uint64((bits + 1) // 2)
    x = np.uint64(rank)
    while True:
        for turn in range(3):
            salt = word(mixed_key, np.uint64(turn))
            x = ((x ^ salt) * (salt | np.uint64(1))) & mask
            x ^= x >> half
        if x < np.uint64(pages):
            return np.int64(x)
