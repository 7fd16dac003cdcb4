"""The data caches as page walks see them: in which level a table's entry is found, and what that costs.

A page-table entry is memory like any other, and eight of them share a line of 64 bytes. So a walk that reads 24 entries
seldom waits 24 times for memory: neighbouring pages have their leaf entries in one line, and the upper tables of a
guest and its host stay in the caches. Where that decides a result, a flat cost per reference hides it.

    reference ─ L1 ── hit: its latency          L1 and L2 belong to a core, the last level (LLC) to the host.
                └ L2 ── hit: its latency        A level that missed is filled from the one that hit; nothing is
                   └ LLC ── hit ...             taken out of the levels above when a lower one evicts, so the
                       └ memory                 hierarchy is neither inclusive nor exclusive.

A reference decides nothing but what it costs. So references are noted where they are made, and looked up together, when
that is asked for.

Lines have machine addresses: the caches know no VMs, no mappings and no flushes. Each set lies in the order of use,
the last used line first, and one vector operation both looks a line up and moves it, or puts it, to the front. Under
LRU in sets that is all there is to do: on a miss, what falls off the end is the victim, and empty places are at the
end by themselves. (A way's number would tell nothing more, so it is not kept.)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.jit import kernel, part, prefetch, to_front8, to_front16, to_front32

LINE_SHIFT = 6
LINE_BYTES = 1 << LINE_SHIFT
EMPTY = 0  # tags begin at 1

# Where a reference is found.
L1, L2, LLC, MEMORY = range(4)
PLACES = 4

# Caches of a host: the last level is the first, L1 and L2 of core c are cache_of(c, L1) and cache_of(c, L2).
SHARED, OWN = 0, 2

# Fields of shape[cache]: KIND says which code fits. Set s begins at FIRST + (s << shift_of(KIND)), and LAST has the bit
# of its last way. Sets are ODD << LOW; FACTOR and DOWN divide by ODD. Tags leave out COMMON bits, in all caches of a
# host the same: the lowest LOW of them.
KIND, FIRST, LAST, LOW, ODD, FACTOR, DOWN, COMMON = range(8)
SHAPE_FIELDS = 8
# KIND: no level; sets with room for 8 or for 16 ways, 2^n of them; other numbers of sets, with room for 16 or for 32.
NONE, OF_EIGHT, OF_SIXTEEN, ODD_OF_SIXTEEN, OF_THIRTY_TWO = range(5)
MOST_NOTED = 1 << 12  # more than a row of walks can refer to
LINES_LOG2 = 31  # of lines that share a value of their COMMON lowest bits


class DataCaches(NamedTuple):
    """The data caches of a host; all arrays are empty where references cost a flat latency.

    tags     i32[slot]          line ÷ 2^COMMON + 1, in the order of use; EMPTY
    shape    i64[cache, field]
    latency  i64[PLACES]        cycles of a reference by where it is found
    counts   i64[row, PLACES]   references by where they were found: what other counters are in `counters`
    lines    i64[MOST_NOTED]    lines that have been referred to and not been looked up yet, in their order
    noted    i64[1]             how many these are
    """

    tags: np.ndarray
    shape: np.ndarray
    latency: np.ndarray
    counts: np.ndarray
    lines: np.ndarray
    noted: np.ndarray


@kernel
def cache_of(core, level):
    """Return the number of a core's own cache."""
    return 1 + core * OWN + level


@kernel
def note(caches, line):
    """Note that a line is referred to; `look_up` finds out where it is."""
    number = caches.noted[0]
    caches.lines[number] = line
    caches.noted[0] = number + 1


@part
def look_up(caches, core, row, first, end):
    """Look up the lines noted as number first … end - 1 in their order, and bring each into all levels that lack it.

    Counts where they were found, and returns the cycles of all. What a level is asked for, and in which order, depends
    on the levels above alone: so one is done with before the next begins. Each is then a short loop without a branch
    that no processor could foresee.
    """
    cycles = np.int64(0)
    for level in range(MEMORY):
        missing = _sieve(caches, SHARED if level == LLC else cache_of(core, level), first, end)
        caches.counts[row, level] += end - missing
        cycles += (end - missing) * caches.latency[level]
        end = missing
    caches.counts[row, MEMORY] += end - first
    return cycles + (end - first) * caches.latency[MEMORY]


@part
def _sieve(caches, cache, first, end):
    """Look up the lines noted as first … end - 1 in one cache; leave those that it lacks, and return their end."""
    kind = caches.shape[cache, KIND]
    if kind == NONE:
        return end
    if kind == OF_EIGHT:
        return _sieve_by(caches, cache, first, end, OF_EIGHT)
    if kind == OF_SIXTEEN:
        return _sieve_by(caches, cache, first, end, OF_SIXTEEN)
    if kind == ODD_OF_SIXTEEN:
        return _sieve_by(caches, cache, first, end, ODD_OF_SIXTEEN)
    return _sieve_by(caches, cache, first, end, OF_THIRTY_TWO)


@kernel
def _sieve_by(caches, cache, first, end, kind):
    """Do so in a cache of a kind, which is a constant."""
    built = _built(caches, cache)
    if cache == SHARED:  # its sets are far away, those of the others are near
        for number in range(first, end):
            prefetch(caches.tags, _set_of(built, caches.lines[number], kind))
    left = first
    for number in range(first, end):
        line = caches.lines[number]
        place = _to_front_by(caches, built, line, kind)
        caches.lines[left] = line
        left += np.int64(place == 0)
    return left


@kernel
def to_front(caches, cache, line):
    """Make a line the most recently used of its set, in place of the least recently used one if it was not there.

    Return 0 if it was not.
    """
    kind, built = caches.shape[cache, KIND], _built(caches, cache)
    if kind == OF_EIGHT:
        return _to_front_by(caches, built, line, OF_EIGHT)
    if kind == OF_SIXTEEN:
        return _to_front_by(caches, built, line, OF_SIXTEEN)
    if kind == ODD_OF_SIXTEEN:
        return _to_front_by(caches, built, line, ODD_OF_SIXTEEN)
    return _to_front_by(caches, built, line, OF_THIRTY_TWO)


class Built(NamedTuple):
    """What a lookup needs to know of a cache, to be kept in registers: fields of its shape, and a mask of LOW bits."""

    first: np.int64
    last: np.int64
    low: np.int64
    mask: np.int64
    odd: np.int64
    factor: np.int64
    down: np.int64
    common: np.int64


@kernel
def _built(caches, cache):
    shape = caches.shape
    first, last, low, common = shape[cache, FIRST], shape[cache, LAST], shape[cache, LOW], shape[cache, COMMON]
    mask = (np.int64(1) << low) - 1
    return Built(first, last, low, mask, shape[cache, ODD], shape[cache, FACTOR], shape[cache, DOWN], common)


@kernel
def _to_front_by(caches, built, line, kind):
    first = _set_of(built, line, kind)
    tag = (line >> built.common) + 1
    if kind == OF_EIGHT:
        return to_front8(caches.tags, first, tag, built.last)
    if kind == OF_THIRTY_TWO:
        return to_front32(caches.tags, first, tag, built.last)
    return to_front16(caches.tags, first, tag, built.last)


@kernel
def _set_of(built, line, kind):
    """Return where the set of a line begins: that of number line mod sets."""
    index = line & built.mask
    if kind >= ODD_OF_SIXTEEN:  # else that is all
        high = line >> built.low
        quotient = (high * built.factor) >> built.down
        index += (high - quotient * built.odd) << built.low
    return built.first + (index << shift_of(kind))


@kernel
def shift_of(kind):
    """Return the binary logarithm of the places of a set."""
    if kind == OF_EIGHT:
        return 3
    if kind == OF_THIRTY_TWO:
        return 5
    return 4


def kind_of(sets: int, ways: int) -> int:
    """Return KIND of a cache."""
    is_power = sets & (sets - 1) == 0
    if ways > 16:
        return OF_THIRTY_TWO
    if not is_power:
        return ODD_OF_SIXTEEN
    return OF_EIGHT if ways <= 8 else OF_SIXTEEN


def divide_by(sets: int) -> tuple[int, int, int, int]:
    """Return (LOW, ODD, FACTOR, DOWN) for a number of sets.

    A division would cost more than all else here, and few caches of the last level have a power of two of sets. With
    2^(c - 1) < odd ≤ 2^c, FACTOR = ceil(2^(31 + c) ÷ odd) is at most 2^32 and too large by less than one. So for
    x < 2^31, x · FACTOR fits into 63 bits, and is x ÷ odd · 2^(31 + c) plus less than 2^31 ≤ 2^(31 + c) ÷ odd, which
    does not suffice to reach another multiple of 2^(31 + c): shifted down it is x // odd exactly.
    """
    low = (sets & -sets).bit_length() - 1
    odd = sets >> low
    down = LINES_LOG2 + (odd - 1).bit_length()
    return low, odd, -(-(1 << down) // odd), down
