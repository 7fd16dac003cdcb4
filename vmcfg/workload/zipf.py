"""Zipf's law by integers: exact weights, and a sampler that fits into the first-level cache for any number of ranks.

**The law.** Rank r = 1 … n has the weight

    w(r) = max(1, floor(2^k · r^-α)),   k = 62 - ceil(log2 n)

of the real number, so the law is a list of integers whose sum stays below 2^63. Every machine must get the same list,
and `pow` differs between machines in its last bits. So float64 only screens: its result is taken where the nearest
integer is further away than a relative 2^-46, which leaves `pow` more than 80 units of 2^-53 to be wrong by (a library
is off by four at most; the rounding of α adds at most α·ln r ≤ 43, because r^α ≤ 2^k wherever w(r) > 1). What is nearer
is computed again by `decimal`, whose `ln` and `exp` are correctly rounded in software, with more and more digits until
the integer is certain. That ends: 2^k · r^-(p/q) = m means r^p · m^q = 2^(kq), so an r that is no power of two never
meets an integer, and powers of two are decided by their exponents.

**The sampler.** An alias table over all ranks is exact but as large as the region, and each draw then misses the cache.
Here the head has an entry per rank and the tail one per bucket of about 2 % more ranks. A bucket is drawn as if all its
ranks had the weight of its first; then a place in it, which is accepted with probability w(rank) / w(first). The weight
of the bucket's last rank accepts most draws without a look at the rank's own weight (a squeeze). Nothing is
approximated but that probabilities are multiples of 2^-64. A threshold is one of at least 2^10 slots, and no bucket is
lighter than a 2^-23 part of the whole: rounding moves no rank's probability by more than a relative 2^-50.

Sources: Walker 1977, Vose 1991 (alias); von Neumann 1951 (rejection); Marsaglia 1977 (squeeze).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache
from typing import NamedTuple

import numpy as np

from vmcfg.jit import kernel
from vmcfg.rng import mulhi

MAX_RANKS = (1 << 31) - 1
HEAD_RANKS = 1024  # with an entry each
GROWTH = 50  # a bucket holds 1/50 of the ranks before it
LEAST_SLOTS = 1024  # the more slots, the finer a threshold
LIGHTEST = 1 << 23  # no bucket weighs less than the sum of weights over this

_SCREEN = 2.0**-46
_CHUNK = 1 << 18  # ranks screened at a time, to stay in the cache
_FIRST_DIGITS = 40
_LOW32 = np.uint64(0xFFFFFFFF)


class ZipfTable(NamedTuple):
    """What `draw` needs; ranks count from 0 here. There are m buckets and s ≥ m slots.

    A slot drawn uniformly stands for the bucket of the same number when what is left of the word is below its
    threshold, and for its alias otherwise. Bucket b holds the ranks firsts[b] … firsts[b] + sizes[b] - 1.
    """

    thresholds: np.ndarray  # uint64[s], in units of 2^-64
    aliases: np.ndarray  # uint32[s]
    firsts: np.ndarray  # uint32[m]
    sizes: np.ndarray  # uint32[m]
    squeezes: np.ndarray  # uint64[m], weight of the last rank over that of the first, in units of 2^-64
    heaviest: np.ndarray  # uint64[m], weight of the first rank
    weights: np.ndarray  # int64[n]


_DTYPES = (np.uint64, np.uint32, np.uint32, np.uint32, np.uint64, np.uint64, np.int64)


def weights(n: int, alpha: str) -> np.ndarray:
    """Return w(1) … w(n) as int64, for `alpha` > 0 written as an exact decimal."""
    exponent = Fraction(alpha)
    assert 1 <= n <= MAX_RANKS and exponent > 0, "alpha 0 is the uniform pattern, which needs no table"
    k = 62 - (n - 1).bit_length()
    result = np.empty(n, np.int64)
    for start in range(1, n + 1, _CHUNK):
        ranks = np.arange(start, min(start + _CHUNK, n + 1))
        near_to_value = np.power(ranks.astype(np.float64), -float(exponent)) * 2.0**k
        part = np.maximum(1, near_to_value.astype(np.int64))
        is_near_integer = np.abs(near_to_value - np.rint(near_to_value)) <= near_to_value * _SCREEN
        for i in np.flatnonzero(is_near_integer):
            part[i] = max(1, floor_of_power(k, int(ranks[i]), exponent))
        result[start - 1 : start - 1 + len(part)] = part
    return result


def floor_of_power(k: int, rank: int, alpha: Fraction) -> int:
    """Return floor(2^k · rank^-alpha), exactly, for any rank and any alpha > 0."""
    if rank & (rank - 1) == 0:
        log2 = k - alpha * (rank.bit_length() - 1)
        if log2.denominator == 1:
            return 1 << int(log2) if log2 >= 0 else 0
    digits = _FIRST_DIGITS
    while True:
        low, high = _between(k, rank, alpha, digits)
        if low == high:
            return low
        digits *= 2


def build(n: int, alpha: str) -> ZipfTable:
    """Return the table from which `draw` takes ranks 0 … n - 1 with probabilities in proportion to the weights."""
    rank_weights = weights(n, alpha)
    firsts, sizes = _buckets(rank_weights)
    heaviest = rank_weights[firsts].tolist()
    lightest = rank_weights[firsts + sizes - 1].tolist()
    bucket_weights = [size * weight for size, weight in zip(sizes.tolist(), heaviest, strict=True)]
    thresholds, aliases = _alias(bucket_weights + [0] * (LEAST_SLOTS - len(bucket_weights)))
    return ZipfTable(
        thresholds=np.array(thresholds, np.uint64),
        aliases=np.array(aliases, np.uint32),
        firsts=firsts.astype(np.uint32),
        sizes=sizes.astype(np.uint32),
        squeezes=np.array([_share(last, first) for last, first in zip(lightest, heaviest, strict=True)], np.uint64),
        heaviest=np.array(heaviest, np.uint64),
        weights=rank_weights,
    )


def join(tables: Sequence[ZipfTable]) -> tuple[ZipfTable, np.ndarray]:
    """Return all tables in one, and the place of each: uint64[tables, 4], what `draw` takes as `place`."""
    slots = [len(table.thresholds) for table in tables]
    buckets = [len(table.firsts) for table in tables]
    ranks = [len(table.weights) for table in tables]
    columns = [_starts(slots), slots, _starts(buckets), _starts(ranks)]
    empty = ZipfTable(*(np.zeros(1, dtype) for dtype in _DTYPES))
    joined = ZipfTable(*(np.concatenate(parts) for parts in zip(*tables, empty, strict=True)))
    return joined, np.array(columns, np.uint64).T.reshape(len(tables), 4).copy()


@kernel
def draw(table, place, word, spare):
    """Return a rank, or -1 for a rejected draw: then call again with two fresh words.

    `place` says which of the joined tables: its first slot, slots, first bucket and first weight, as np.uint64.

    `word` and `spare` are np.uint64 and uniform. The high word of a product picks, the low word is what is left of
    the randomness: `word` gives slot and threshold, `spare` the place in the bucket and the acceptance.
    """
    first_slot, all_slots, first_bucket, first_weight = place
    slots = all_slots & _LOW32  # says that it is short, so that the product needs no high half
    slot = mulhi(word, slots)
    # The alias is loaded always: a coin toss is a select, and never a branch to mispredict.
    alias = np.uint64(table.aliases[first_slot + slot])
    bucket = first_bucket + (alias if word * slots >= table.thresholds[first_slot + slot] else slot)
    size = np.uint64(table.sizes[bucket])
    rank = np.uint64(table.firsts[bucket]) + mulhi(spare, size)
    height = spare * size
    if height < table.squeezes[bucket] or mulhi(height, table.heaviest[bucket]) < np.uint64(
        table.weights[first_weight + rank]
    ):
        return np.int64(rank)
    return np.int64(-1)


def _starts(lengths: list[int]) -> list[int]:
    return [sum(lengths[:number]) for number in range(len(lengths))]


def _between(k: int, rank: int, alpha: Fraction, digits: int) -> tuple[int, int]:
    """Return integers between which floor(2^k · rank^-alpha) lies, computed with `digits` digits."""
    context = Context(prec=digits)
    log_power = context.divide(context.multiply(context.ln(rank), alpha.numerator), alpha.denominator)
    value = context.exp(context.subtract(context.multiply(_ln_of_2(digits), k), log_power))
    # Both logarithms are below 100 wherever the value is not zero, and wrong by less than 10^(4 - digits) with all
    # that is done to them; the value is below 10^19.
    margin = Decimal(1).scaleb(25 - digits)
    return int(context.subtract(value, margin)), int(context.add(value, margin))


@cache
def _ln_of_2(digits: int) -> Decimal:
    return Context(prec=digits).ln(2)


def _buckets(rank_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut the ranks into buckets: (first ranks, sizes), int64."""
    n, total = len(rank_weights), int(rank_weights.sum())
    firsts, sizes = [], []
    first = 0
    while first < n:
        size = _wanted_size(first, rank_weights, total)
        rest = n - first - size
        if rest <= 0 or _wanted_size(first + size, rank_weights, total) > rest:
            size = n - first  # what would be left is too little for a bucket of its own
        firsts.append(first)
        sizes.append(size)
        first += size
    return np.array(firsts), np.array(sizes)


def _wanted_size(first: int, rank_weights: np.ndarray, total: int) -> int:
    by_rank = 1 if first < HEAD_RANKS else first // GROWTH
    by_weight = -(-total // (int(rank_weights[first]) * LIGHTEST))
    return max(by_rank, by_weight)


def _alias(bucket_weights: list[int]) -> tuple[list[int], list[int]]:
    """Return (thresholds in units of 2^-64, aliases) of Vose's method, in exact integers.

    Every slot has the capacity `total`, and every bucket brings its weight times the number of slots. A light bucket
    fills part of its slot, and a heavy one the rest.
    """
    slots, total = len(bucket_weights), sum(bucket_weights)
    left = [weight * slots for weight in bucket_weights]
    light = [bucket for bucket in range(slots) if left[bucket] < total]
    heavy = [bucket for bucket in range(slots) if left[bucket] >= total]
    thresholds, aliases = [_share(1, 1)] * slots, list(range(slots))
    while light:
        bucket, giver = light.pop(), heavy[-1]
        thresholds[bucket], aliases[bucket] = _share(left[bucket], total), giver
        left[giver] -= total - left[bucket]
        if left[giver] < total:
            light.append(heavy.pop())
    assert all(left[bucket] == total for bucket in heavy), "weights are conserved"
    return thresholds, aliases


def _share(part: int, whole: int) -> int:
    """Return part / whole in units of 2^-64, rounded down, and one unit less than the whole at most."""
    return min((part << 64) // whole, (1 << 64) - 1)
