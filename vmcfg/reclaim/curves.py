"""Miss-ratio curves of LRU: the misses at every capacity, from one pass over a stream.

LRU keeps the pages in one order, the same for every capacity; only how many of them are resident differs. So an access
hits exactly where the capacity is at least its *stack distance*: how many different pages have been accessed since the
last access to this one, itself counted (Mattson et al., IBM Systems Journal 9(2), 1970). A histogram of distances is
the curve.

A distance is found in time that grows as the logarithm of the pages (Bennett and Kruskal, IBM Journal of Research and
Development 19(4), 1975). Accesses take slots in order; the slot of each page's last access is marked, and the marks
behind a page's own are counted. A mark is one bit of 32 in a word, and a Fenwick tree sums over words. There are twice
as many slots as pages: when all are taken the marked ones move together, so memory does not grow with the stream.

SHARDS looks at a sample of pages: those whose hash is below a threshold, with all of their accesses (Waldspurger, Park,
Garthwaite and Ahmad, FAST 2015). Among a part R of the pages each distance is a part R of what it would be. What hot
pages the sample happens to have moves all of the curve alike; *adjusted*, its accesses are therefore taken for the part
R of all, and the difference counts as accesses that hit always.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from attrs import frozen

from vmcfg.jit import by_reference, entry, kernel, part, prefetch
from vmcfg.rng import chance, mixed_key, word

MILLION = 1_000_000
AHEAD = 16  # accesses between a prefetch and the use
WORD_SHIFT = 5  # a word of marks has 32 of its bits in use: no shift meets the sign
BITS = 1 << WORD_SHIFT


@frozen(eq=False)
class Curve:
    """Misses by capacity: `misses[i]` of `accesses` from `capacities[i]` pages up to the next; both i64, ascending."""

    accesses: int
    capacities: np.ndarray
    misses: np.ndarray

    def at(self, capacity: int) -> int:
        """Return the misses in a memory of so many pages."""
        return int(self.misses[np.searchsorted(self.capacities, capacity, side="right") - 1])


def lru_curve(pages: np.ndarray) -> Curve:
    """Return the exact curve of a stream of dense page numbers from 0 (int32 or uint32): a point for each capacity."""
    histogram = distances(pages)
    misses = len(pages) - np.cumsum(histogram)
    return Curve(len(pages), np.arange(len(misses)), misses)


def sampled_lru_curve(pages: np.ndarray, rate_ppm: int, seed: int = 0, is_adjusted: bool = True) -> Curve:
    """Return the curve as `rate_ppm` millionths of the pages tell it, chosen by the stream `shards` of `seed`."""
    if not 1 <= rate_ppm <= MILLION:
        raise ValueError(f"found a rate of {rate_ppm} millionths, expected 1 to {MILLION}")
    return curve_of_sample(_sample(pages, rate_ppm, seed), len(pages), rate_ppm, is_adjusted)


def curve_of_sample(sample: np.ndarray, accesses: int, rate_ppm: int, is_adjusted: bool = True) -> Curve:
    """Return the curve of so many accesses, as those among them to `rate_ppm` millionths of the pages tell it."""
    histogram = distances(sample)
    missed = len(sample) - np.cumsum(histogram)
    if is_adjusted:
        misses = _rounded(missed * MILLION, rate_ppm)
    else:
        misses = _rounded(missed * accesses, max(1, len(sample)))
    misses[0] = accesses  # without memory each access misses
    capacities = -(-np.arange(len(misses)) * MILLION // rate_ppm)
    return Curve(accesses, capacities, np.minimum(misses, accesses))


def distances(pages: np.ndarray) -> np.ndarray:
    """Return how many accesses have each stack distance: i64[1 + pages]; nobody has the distance 0."""
    end = int(pages.max()) + 1 if len(pages) else 0
    words = -(-2 * max(end, 1) // BITS)
    stack = Stack(
        np.zeros(words, np.int64),
        np.zeros(words + 1, np.int32),
        np.zeros(words * BITS, np.int32),
        np.zeros(end, np.int32),
        np.zeros(end + 1, np.int64),
    )
    _measure(stack, pages.view(np.int32), words * BITS)
    return stack.histogram


class Stack(NamedTuple):
    """The LRU stack: which slots hold a page's last access.

    marks      i64[words]        a bit for each of BITS slots
    tree       i32[words + 1]    Fenwick: sums of marks over words
    page_in    i32[slots]        who has taken a slot
    slot_of    i32[pages]        a page's last slot, plus one
    histogram  i64[pages + 1]    accesses by distance
    """

    marks: np.ndarray
    tree: np.ndarray
    page_in: np.ndarray
    slot_of: np.ndarray
    histogram: np.ndarray


@entry
def _measure(stack, pages, slots):
    s = by_reference(stack)
    taken = marked = np.int64(0)
    last = np.int64(-1)
    for position in range(pages.shape[0]):
        page, ahead = np.int64(pages[position]), pages[min(position + AHEAD, pages.shape[0] - 1)]
        prefetch(s.slot_of, ahead)
        if page == last:
            s.histogram[1] += 1
            continue
        last = page
        slot = np.int64(s.slot_of[page]) - 1
        if slot >= 0:
            s.histogram[marked - _marks_up_to(s, slot) + 1] += 1
            s.marks[slot >> WORD_SHIFT] &= ~_bit(slot)
            _add(s, slot >> WORD_SHIFT, -1, slots >> WORD_SHIFT)
            marked -= 1
        if taken == slots:
            taken = _move_together(s, slots)
        s.page_in[taken] = page
        s.slot_of[page] = taken + 1
        s.marks[taken >> WORD_SHIFT] |= _bit(taken)
        _add(s, taken >> WORD_SHIFT, 1, slots >> WORD_SHIFT)
        marked += 1
        taken += 1


@kernel
def _marks_up_to(s, slot):
    """Return how many slots up to one, and with it, are marked."""
    found = _ones(s.marks[slot >> WORD_SHIFT] & ((_bit(slot) << 1) - 1))
    node = slot >> WORD_SHIFT
    while node:
        found += s.tree[node]
        node &= node - 1
    return found


@kernel
def _add(s, word_index, by, words):
    """Say that a word has so many marks more."""
    node = word_index + 1
    while node <= words:
        s.tree[node] += by
        node += node & -node


@part
def _move_together(s, slots):
    """Give the marked slots the lowest numbers, in their order; return how many they are."""
    kept = np.int64(0)
    for slot in range(slots):
        if s.marks[slot >> WORD_SHIFT] & _bit(slot):
            page = s.page_in[slot]
            s.page_in[kept] = page
            s.slot_of[page] = kept + 1
            kept += 1
    for index in range(slots >> WORD_SHIFT):
        s.marks[index] = _lowest(kept - index * BITS)
        s.tree[index + 1] = 0
    for index in range(slots >> WORD_SHIFT):
        _add(s, index, _ones(s.marks[index]), slots >> WORD_SHIFT)
    return kept


@kernel
def _bit(slot):
    return np.int64(1) << (slot & (BITS - 1))


@kernel
def _lowest(count):
    """Return a word with so many of its lowest bits set, none or all at most."""
    return (np.int64(1) << min(max(count, 0), BITS)) - 1


@kernel
def _ones(x):
    """Return how many of 32 bits are set: by pairs, by fours, by eights, then all four bytes at once."""
    x -= (x >> 1) & 0x55555555
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return ((x * 0x01010101) >> 24) & 0xFF


def _sample(pages: np.ndarray, rate_ppm: int, seed: int) -> np.ndarray:
    """Return the accesses to a part of the pages, these numbered anew in order of appearance."""
    kept = np.empty(len(pages), np.int32)
    numbers = np.zeros(int(pages.max()) + 1 if len(pages) else 0, np.int32)
    return kept[: _keep(pages.view(np.int32), mixed_key(seed, "shards"), np.uint64(rate_ppm), numbers, kept)]


@entry
def _keep(pages, key, rate_ppm, numbers, kept):
    threshold = chance(rate_ppm)
    count = distinct = 0
    for position in range(pages.shape[0]):
        page = np.int64(pages[position])
        if word(key, np.uint64(page)) > threshold:
            continue
        if numbers[page] == 0:
            distinct += 1
            numbers[page] = distinct
        kept[count] = numbers[page] - 1
        count += 1
    return count


def _rounded(parts: np.ndarray, whole: int) -> np.ndarray:
    """Return parts ÷ whole, half up."""
    return (2 * parts + whole) // (2 * whole)
