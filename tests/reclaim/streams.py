"""Streams of pages that others have counted too: drawn by recipe, and checked to be the ones that were counted."""

from __future__ import annotations

import hashlib
from functools import cache

import numpy as np
import pytest

LIMIT = 16_384  # pages that the control group of the real kernel was given


@cache
def zipf_ten_million() -> np.ndarray:
    """10 M accesses, Zipf with α = 1 over a million pages in random order."""
    random = np.random.default_rng(1)
    ranks = _zipf(1_000_000, 1.0, random.random(10_000_000))
    pages = random.permutation(1_000_000)[ranks]
    return _checked(pages, "4679c3ef5ae202a5c0dd996532cf5fd0052875b531495df4d281447c632281d5")


def real_mix(name: str) -> np.ndarray:
    """A stream of writes that a real kernel has served with so little memory."""
    return _checked(_MIXES[name](), _DIGESTS[name])


def _uniform() -> np.ndarray:
    return np.random.default_rng(1).integers(0, LIMIT * 5 // 4, 1_000_000)


def _skewed() -> np.ndarray:
    random = np.random.default_rng(3)
    ranks = _zipf(4 * LIMIT, 0.7, random.random(800_000))
    return random.permutation(4 * LIMIT)[ranks]


def _hot_set_and_scan() -> np.ndarray:
    """Each page of a scan over four times the limit is followed by three accesses to a hot set of half the limit."""
    random = np.random.default_rng(6)
    hot = [random.integers(0, LIMIT // 2, 4 * LIMIT) for _ in range(3)]
    before, after = (random.integers(0, LIMIT // 2, 100_000) for _ in range(2))
    scan = np.stack([np.arange(LIMIT, 5 * LIMIT), *hot], axis=1)
    return np.concatenate([before, scan.ravel(), after])


def _loop(pages: int) -> np.ndarray:
    return np.tile(np.arange(pages), 12)


def _zipf(count: int, alpha: float, draws: np.ndarray) -> np.ndarray:
    sums = np.cumsum(1 / np.arange(1, count + 1) ** alpha)
    return np.searchsorted(sums / sums[-1], draws)


def _checked(pages: np.ndarray, sha256: str) -> np.ndarray:
    """NumPy does not promise the same numbers in every version: with others there is nothing to compare."""
    if hashlib.sha256(pages.astype("<u8").tobytes()).hexdigest() != sha256:
        pytest.skip("this version of NumPy draws another stream")
    return pages.astype(np.int32)


_MIXES = {
    "loop over 1.05×": lambda: _loop(LIMIT * 21 // 20),
    "loop over 1.25×": lambda: _loop(LIMIT * 5 // 4),
    "uniform over 1.25×": _uniform,
    "zipf 0.7 over 4×": _skewed,
    "hot set and scan": _hot_set_and_scan,
}
_DIGESTS = {
    "loop over 1.05×": "9723024be2701354417e140eb8a0d855bd87dc88e29152ee6912f0b23ebc4b86",
    "loop over 1.25×": "a5032d6245d2c2beff14063848877177322de5b0fbd5c1f275222d43c9ddad53",
    "uniform over 1.25×": "579e176d81bdcf9e141dd50c0e5d2214e46cfafbd25b8514c12ad99d087e39b6",
    "zipf 0.7 over 4×": "eded2c0a3de9cea1779d1a9e5912428926a42f7be29262d5b885f30e21b4e641",
    "hot set and scan": "2e7a1648421d305fa9bda65bdf96bad41d14d39f1bd0b29a659f575e4f1c9931",
}
