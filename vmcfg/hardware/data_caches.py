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

# Fields of shape[cache]: KIND says which code fits. Set s begins at FIRST + (s << SHIFT), and LAST has the bit of its
# last way. Sets are ODD << LOW; MASK is their number - 1 where that is a power of two, else -1. Tags leave out COMMON
# bits, in all caches of a host the same: the lowest LOW of them.
KIND, FIRST, SHIFT, LAST, MASK, LOW, ODD, FACTOR, DOWN, COMMON = range(10)
SHAPE_FIELDS = 10
SLIM, NARROW, WIDE = 3, 4, 5  # SHIFT: room for 8, 16, 32 ways in a set
NONE, OF_EIGHT, OF_SIXTEEN, OTHER = range(4)  # KIND: no level; sets with that room, 2^n of them; other numbers, or WIDE
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
    return _sieve_by(caches, cache, first, end, OTHER)


@kernel
def _sieve_by(caches, cache, first, end, kind):
    """Do so in a cache of a kind, which is a constant."""
    built = _built(caches, cache)
    left = first
    for number in range(first, end):
        line = caches.lines[number]
        place = _to_front_by(caches, built, line, kind)
        caches.lines[left] = line
        left += np.int64(place == 0)
    return left


@kernel
def prefetch_line(caches, line):
    """Ask for the set of the last level in which a line may be: it is far away, the others are near."""
    prefetch(caches.tags, _set_of(caches, SHARED, line))


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
    return _to_front_by(caches, built, line, OTHER)


@kernel
def _built(caches, cache):
    """Return (a cache's number, where it begins, its last way, MASK, COMMON), to be kept in registers."""
    shape = caches.shape
    return cache, shape[cache, FIRST], shape[cache, LAST], shape[cache, MASK], shape[SHARED, COMMON]


@kernel
def _to_front_by(caches, built, line, kind):
    cache, first, last, mask, common = built
    tag = (line >> common) + 1
    if kind == OF_EIGHT:
        return to_front8(caches.tags, first + ((line & mask) << SLIM), tag, last)
    if kind == OF_SIXTEEN:
        return to_front16(caches.tags, first + ((line & mask) << NARROW), tag, last)
    return _to_front_of_other(caches, cache, line, tag)


@kernel
def _to_front_of_other(caches, cache, line, tag):
    first = _set_of(caches, cache, line)
    last = caches.shape[cache, LAST]
    if caches.shape[cache, SHIFT] == WIDE:
        return _to_front_wide(caches, first, tag, last)
    return to_front16(caches.tags, first, tag, last)


@kernel
def _to_front_wide(caches, first, tag, last):
    """Apart, so that nothing is made ready for a call where there is none."""
    return _to_front32(caches, first, tag, last)


@part
def _to_front32(caches, first, tag, last):
    return to_front32(caches.tags, first, tag, last)


def room_and_kind(sets: int, ways: int) -> tuple[int, int]:
    """Return (SHIFT, KIND) of a cache."""
    if ways <= 1 << SLIM and sets & (sets - 1) == 0:
        return SLIM, OF_EIGHT
    if ways <= 1 << NARROW:
        return NARROW, OTHER if sets & (sets - 1) else OF_SIXTEEN
    return WIDE, OTHER


@kernel
def _set_of(caches, cache, line):
    """Return where the set of a line begins: that of number line mod sets."""
    shape = caches.shape
    index = line & shape[cache, MASK]
    if shape[cache, MASK] < 0:
        low = shape[cache, LOW]
        high = line >> low
        quotient = (high * shape[cache, FACTOR]) >> shape[cache, DOWN]
        index = (line & ((np.int64(1) << low) - 1)) + ((high - quotient * shape[cache, ODD]) << low)
    return shape[cache, FIRST] + (index << shape[cache, SHIFT])


def divide_by(sets: int) -> tuple[int, int, int, int, int]:
    """Return (MASK, LOW, ODD, FACTOR, DOWN) for a number of sets.

    A division would cost more than all else here, and few caches of the last level have a power of two of sets. With
    2^(c - 1) < odd ≤ 2^c, FACTOR = ceil(2^(31 + c) ÷ odd) is at most 2^32 and too large by less than one. So for
    x < 2^31, x · FACTOR fits into 63 bits, and is x ÷ odd · 2^(31 + c) plus less than 2^31 ≤ 2^(31 + c) ÷ odd, which
    does not suffice to reach another multiple of 2^(31 + c): shifted down it is x // odd exactly.
    """
    low = (sets & -sets).bit_length() - 1
    odd = sets >> low
    down = LINES_LOG2 + (odd - 1).bit_length()
    return (sets - 1 if odd == 1 else -1), low, odd, -(-(1 << down) // odd), down
