"""A stream of pages replayed at one capacity: what a simulator of caches does, and nothing of a machine around it.

Every access is a reference. A page that is not resident is a miss and enters; if as many are resident as the capacity
allows, a batch of victims leaves first. That is one victim unless the caller says otherwise: Linux takes 32 at once.

Every policy can be replayed through its `Layer`, by the same verbs that a host or a guest uses. FIFO, LRU and clock
have kernels of their own beside that, whose arrays are smaller and of which each is one loop: they are what we race
against other simulators, and the tests hold them to the layer's counts. Pages ahead are fetched early, as the places
that a stream touches are known beforehand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vmcfg.jit import by_reference, entry, kernel, prefetch
from vmcfg.reclaim.layer import is_resident, new_layer
from vmcfg.reclaim.opt import NEVER
from vmcfg.reclaim.replacement import POLICIES, enter, refer, victim
from vmcfg.rng import mixed_key

AHEAD = 32  # accesses between a prefetch and the use: beyond that nothing is gained
OLDER, NEWER = range(2)


class Stream(NamedTuple):
    """Pages to replay, and what a kernel keeps beside them.

    pages  i32[accesses]           dense page numbers
    state  u8[pages]               0 absent, 1 resident, 2 resident and accessed; LRU has none
    ring   i32[capacity]           resident pages, in the order in which they came; likewise
    links  i32[2 × (pages + 1)]    LRU's: next older and next newer page, plus one; 0 is the list's end
    """

    pages: np.ndarray
    state: np.ndarray
    ring: np.ndarray
    links: np.ndarray


def replay(pages: np.ndarray, capacity: int, policy: str = "lru", seed: int = 0, batch: int = 1) -> int:
    """Return how many accesses of `pages` (dense numbers from 0, int32 or uint32) miss in a memory of `capacity` pages.

    `policy` is a name in `reclaim.replacement.POLICIES`. Random victims are drawn from the stream `replay` of `seed`.
    """
    if capacity < 1 or batch < 1:
        raise ValueError(f"found capacity {capacity} and batch {batch}, expected at least 1 of each")
    if policy in _LEAN and batch == 1:
        return int(_LEAN[policy](_stream(pages, capacity, policy), len(pages), capacity))
    return replay_layer(pages, capacity, policy, seed, batch)


def replay_layer(pages: np.ndarray, capacity: int, policy: str, seed: int = 0, batch: int = 1) -> int:
    """Do the same through the policy's layer, whatever it is."""
    layer = new_layer(POLICIES[policy], [_end(pages)], [mixed_key(seed, "replay")])
    times = next_uses(pages) if policy == "opt" else np.zeros(0, np.int64)
    return int(_through_layer(layer, pages.view(np.int32), times, capacity, batch))


def next_uses(pages: np.ndarray) -> np.ndarray:
    """Return for each access the position of the next one to the same page, or NEVER: i64[accesses]."""
    times = np.empty(len(pages), np.int64)
    _look_back(pages.view(np.int32), np.full(_end(pages), NEVER, np.int64), times)
    return times


@entry
def _through_layer(whole, pages, times, capacity, batch):
    layer = by_reference(whole)
    misses = resident = 0
    for position in range(pages.shape[0]):
        page = np.int64(pages[position])
        when = times[position] if times.shape[0] else np.int64(position)
        if is_resident(layer, page):
            refer(layer, 0, page, when)
            continue
        misses += 1
        if resident == capacity:
            for _ in range(min(batch, capacity)):
                victim(layer, 0)
                resident -= 1
        enter(layer, 0, page, when)
        resident += 1
    return misses


@entry
def _look_back(pages, next_of, times):
    for position in range(pages.shape[0] - 1, -1, -1):
        times[position] = next_of[pages[position]]
        next_of[pages[position]] = position


@entry
def _fifo(stream, count, capacity):
    s = by_reference(stream)
    misses = place = 0
    for position in range(count):
        prefetch(s.state, _page_ahead(s, position, count))
        page = np.int64(s.pages[position])
        if s.state[page]:
            continue
        if misses >= capacity:
            s.state[s.ring[place]] = 0
        misses += 1
        s.ring[place] = page
        s.state[page] = 1
        place = _after(place, capacity)
    return misses


@entry
def _clock(stream, count, capacity):
    return _go_round(by_reference(stream), count, capacity, 1)


@entry
def _clock_referenced(stream, count, capacity):
    return _go_round(by_reference(stream), count, capacity, 2)


@kernel
def _go_round(s, count, capacity, at_first):
    """The oldest page is where the hand stands, and a new one takes its victim's place, behind the hand."""
    misses = hand = 0
    for position in range(count):
        prefetch(s.state, _page_ahead(s, position, count))
        page = np.int64(s.pages[position])
        if s.state[page]:
            s.state[page] = 2
            continue
        if misses >= capacity:
            while s.state[s.ring[hand]] == 2:
                s.state[s.ring[hand]] = 1
                hand = _after(hand, capacity)
            s.state[s.ring[hand]] = 0
        misses += 1
        s.ring[hand] = page
        s.state[page] = at_first
        hand = _after(hand, capacity)
    return misses


@entry
def _lru(stream, count, capacity):
    s = by_reference(stream)
    misses = 0
    for position in range(count):
        prefetch(s.links, 2 * (_page_ahead(s, position, count) + 1))
        node = np.int64(s.pages[position]) + 1
        if node == s.links[OLDER]:
            continue  # the newest already
        if s.links[2 * node + OLDER] or s.links[2 * node + NEWER]:
            _unlink(s, node)
        else:
            if misses >= capacity:
                _unlink(s, np.int64(s.links[NEWER]))
            misses += 1
        newest = np.int64(s.links[OLDER])
        s.links[2 * node + OLDER] = newest
        s.links[2 * node + NEWER] = 0
        s.links[2 * newest + NEWER] = node
        s.links[OLDER] = node
    return misses


@kernel
def _unlink(s, node):
    """Take a node out of the list. Absent is who has no neighbours; the only one of a list is its newest."""
    older, newer = np.int64(s.links[2 * node + OLDER]), np.int64(s.links[2 * node + NEWER])
    s.links[2 * older + NEWER] = newer
    s.links[2 * newer + OLDER] = older
    s.links[2 * node + OLDER] = 0
    s.links[2 * node + NEWER] = 0


@kernel
def _page_ahead(s, position, count):
    return np.int64(s.pages[min(position + AHEAD, count - 1)])


@kernel
def _after(place, capacity):
    return 0 if place + 1 == capacity else place + 1


def _stream(pages: np.ndarray, capacity: int, policy: str) -> Stream:
    """Return the arrays of a policy's kernel, nobody resident."""
    end, is_lru = _end(pages), policy == "lru"
    links = np.zeros(2 * (end + 1) if is_lru else 1, np.int32)
    ring = np.zeros(1 if is_lru else min(capacity, len(pages)), np.int32)
    return Stream(pages.view(np.int32), np.zeros(1 if is_lru else end, np.uint8), ring, links)


def _end(pages: np.ndarray) -> int:
    """Return the number after the largest page."""
    return int(pages.max()) + 1 if len(pages) else 0


_LEAN: dict[str, Callable[..., int]] = {
    "fifo": _fifo,
    "lru": _lru,
    "clock": _clock,
    "clock_referenced": _clock_referenced,
}
