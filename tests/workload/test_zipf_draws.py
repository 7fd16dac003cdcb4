"""Draws follow the weights: proved from the table, checked by counting, and frozen by a golden."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from vmcfg.jit import entry
from vmcfg.rng import mixed_key, word
from vmcfg.workload import zipf

CASES = [(n, alpha) for n in (1, 2, 1000, 65536) for alpha in ("0.5", "0.8", "0.99", "1", "1.2", "2", "4")]
LARGE = [(1_000_000, "0.5"), (1_000_000, "0.99"), (1_000_000, "2"), (1_000_000, "4")]
UNIT = 1 << 64
PATHS = os.pathsep.join([str(Path(zipf.__file__).parents[2]), str(Path(__file__).parent)])

# Seed 42, stream vm/0, touches 0 … 11 by their words 4i and 4i + 3.
GOLDEN = {
    (1, "1"): [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    (2, "0.5"): [0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0],
    (1000, "0.8"): [36, 2, 4, 48, 4, 763, 516, 159, 150, 233, 39, 62],
    (65536, "0.99"): [43, 17, 55, 5161, 54, 14987, 16, 62310, 183, 0, 2794, 75],
    (1_000_000, "1"): [48, 1587, 12432, 58707, 12305, 987270, 1491, 938889, 203, 1, 29844, 85],
    (1_000_000, "2"): [0, 0, 0, 3, 0, 1, 0, 21, 0, 0, 3, 0],
}


@cache
def table(n, alpha):
    """Build each table once."""
    return zipf.build(n, alpha)


@entry
def draw_all(built, key, ranks):
    """Draw from the words of touches 0, 1, …"""
    zero = np.uint64(0)
    place = (zero, np.uint64(len(built.thresholds)), zero, zero)
    for i in range(len(ranks)):
        first = np.uint64(i) << np.uint64(2)
        ranks[i] = zipf.draw(built, place, word(key, first), word(key, first + np.uint64(3)))


@entry
def draw_one(built, page_word, spare):
    """Draw from two given words."""
    zero = np.uint64(0)
    return zipf.draw(built, (zero, np.uint64(len(built.thresholds)), zero, zero), page_word, spare)


def drawn(n, alpha, seed, count):
    """Return the ranks of the first `count` touches of stream vm/0."""
    ranks = np.empty(count, np.int64)
    draw_all(table(n, alpha), mixed_key(seed, "vm/0"), ranks)
    return ranks


def bucket_chances(built):
    """Return each bucket's chance to be picked, in units of 1 / (slots · 2^64)."""
    chances = [0] * len(built.firsts)
    for slot, (threshold, alias) in enumerate(zip(built.thresholds.tolist(), built.aliases.tolist(), strict=True)):
        if alias != slot and threshold:
            chances[slot] += threshold
        chances[alias] += UNIT - threshold if alias != slot else UNIT
    return chances


@pytest.mark.parametrize(("n", "alpha"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in LARGE)])
def test_every_rank_is_drawn_in_proportion_to_its_weight(n, alpha):
    """By exact rationals: chance of the bucket / its size × acceptance is w(r) times one constant, to 2^-50."""
    built = table(n, alpha)
    weights = built.weights.tolist()
    chance_to_weight = []
    for chance, first, size, heaviest in zip(
        bucket_chances(built), built.firsts.tolist(), built.sizes.tolist(), built.heaviest.tolist(), strict=True
    ):
        for weight in set(weights[first : first + size]):
            accepted = -(-weight * UNIT // heaviest)  # how many of 2^64 heights have a high word below the weight
            chance_to_weight.append(Fraction(chance * accepted, size * weight))
    assert max(chance_to_weight) / min(chance_to_weight) - 1 <= Fraction(1, 1 << 50)


@pytest.mark.parametrize(("n", "alpha"), [*CASES, *LARGE])
def test_buckets_cover_the_ranks_and_their_squeezes_are_safe(n, alpha):
    """No gap, no overlap; a height under the squeeze is under the lightest weight of the bucket; O(1000) entries."""
    built = table(n, alpha)
    sizes = built.sizes.astype(np.int64)
    assert np.array_equal(np.cumsum(sizes) - sizes, built.firsts)
    assert n == sizes.sum()
    assert 1024 <= len(built.thresholds) < 1600
    lightest = built.weights[built.firsts.astype(np.int64) + sizes - 1].tolist()
    for squeeze, heaviest, last in zip(built.squeezes.tolist(), built.heaviest.tolist(), lightest, strict=True):
        assert squeeze == 0 or ((squeeze - 1) * heaviest) >> 64 < last


@pytest.mark.parametrize("alpha", ["0.5", "0.99", "1.2", "2"])
@pytest.mark.parametrize("n", [1000, 1_000_000])
def test_a_million_draws_fit_the_law_by_chi_square(n, alpha):
    """Bins of at least a 200th of the mass; the statistic stays within five standard deviations of its mean."""
    ranks = drawn(n, alpha, 1, 1_000_000)
    ranks = ranks[ranks >= 0]
    weights = table(n, alpha).weights
    bins = np.cumsum(weights) // (int(weights.sum()) // 200)
    edges = np.flatnonzero(np.diff(bins, prepend=-1))
    expected = np.add.reduceat(weights, edges) / weights.sum() * len(ranks)
    counted = np.add.reduceat(np.bincount(ranks, minlength=n), edges)
    freedom = len(edges) - 1
    chi_square = float(((counted - expected) ** 2 / expected).sum())
    assert abs(chi_square - freedom) < 5 * (2 * freedom) ** 0.5


def test_few_draws_are_rejected():
    """Buckets of 2 % more ranks: about α per cent at the most, halved."""
    assert (drawn(1_000_000, "0.99", 1, 1_000_000) < 0).mean() < 0.01


@pytest.mark.parametrize(("n", "alpha"), [(1, "1"), (2, "0.5"), (1000, "1"), (65536, "0.99")])
def test_compiled_and_plain_draws_are_the_same(n, alpha):
    """Typed constants: numpy scalars and machine words wrap alike, without a warning."""
    code = f"import test_zipf_draws as t; print(t.drawn({n}, {alpha!r}, 9, 2000).tolist())"
    environment = {**os.environ, "VMCFG_KERNELS": "plain", "PYTHONWARNINGS": "error", "PYTHONPATH": PATHS}
    plain = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert plain.stdout.strip() == str(drawn(n, alpha, 9, 2000).tolist())


def test_the_extreme_words_stay_inside():
    """All bits clear and all bits set, in both words, for a table with buckets."""
    lowest, highest = np.uint64(0), np.uint64(UNIT - 1)
    for page_word in (lowest, highest):
        for spare in (lowest, highest):
            assert -1 <= draw_one(table(65536, "0.99"), page_word, spare) < 65536


@pytest.mark.parametrize(("n", "alpha"), sorted(GOLDEN))
def test_the_first_draws_are_frozen(n, alpha):
    """A scenario must give the same bytes for ever; if this moves, the semantics version moves."""
    assert GOLDEN[n, alpha] == drawn(n, alpha, 42, 12).tolist()
