"""Page replacement: which page leaves memory when another must come in.

There are four verbs, the same for every policy:

    enter(layer, owner, page, when)      the page has become resident, by an access
    refer(layer, owner, page, when)      a resident page has been accessed; under `references: walks` nobody says so
    leave(layer, owner, page)            the page's content is gone, it was freed or ballooned; here, or evicted before
    victim(layer, owner)                 choose a page, take it out and return it, or -1 if none is resident

`when` is a time that grows from one access to the next; for `opt`, it is the time of the page's *next* access.

A policy is a number in `reclaim.layer`, a line in POLICIES, and a branch in each of the four functions at the end where
it does not do as the others. Each verb takes a few steps, with heaps as many as the logarithm of the resident pages.
They are parts, compiled once into whatever uses them: selecting a page happens once in many accesses.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.reclaim import clock, fifo, heap, lfu, lru, lru2, opt, random, sieve, slots, two_list
from vmcfg.reclaim.layer import (
    CLOCK,
    CLOCK_REFERENCED,
    FIFO,
    LFU,
    LRU,
    LRU2,
    LRU2_HISTORY,
    OPT,
    POLICY,
    RANDOM,
    SIEVE,
    TWO_LIST,
    is_resident,
    note_accessed,
)

POLICIES = {
    "fifo": FIFO,
    "lru": LRU,
    "clock": CLOCK,
    "clock_referenced": CLOCK_REFERENCED,
    "sieve": SIEVE,
    "lfu": LFU,
    "lru2": LRU2,
    "lru2_history": LRU2_HISTORY,
    "random": RANDOM,
    "two_list": TWO_LIST,
    "opt": OPT,
}
"""The policies by their names in the language."""

NEEDS_REFERENCES = frozenset({"lru", "lfu", "lru2", "lru2_history", "opt"})
"""Those that must be told of every access: A bits, which say only that there was one, are not enough."""

READS_BITS = frozenset({"clock", "clock_referenced", "sieve", "two_list"})
"""Those that look whether a page has been accessed. The rest, FIFO and random, need to know nothing."""


@part
def enter(layer, owner, page, when):
    """Say that a page has become resident: a page of the owner that is not yet."""
    _enter(layer, owner, np.int64(page) + 1, np.int64(when))


@part
def refer(layer, owner, page, when):
    """Say that a resident page has been accessed."""
    _refer(layer, owner, np.int64(page) + 1, np.int64(when))


@part
def leave(layer, owner, page):
    """Say that a page has left otherwise than as a victim, or is wanted no more since it was one: it is forgotten."""
    node = np.int64(page) + 1
    if is_resident(layer, page):
        _leave(layer, owner, node)
    else:
        _forget(layer, owner, node)


@part
def victim(layer, owner):
    """Take out and return the page that goes next, or -1."""
    return np.int64(_victim(layer, owner)) - 1


@kernel
def _enter(layer, owner, node, when):
    policy = layer.owners[owner, POLICY]
    if policy in (FIFO, LRU):
        fifo.enter(layer, owner, node)
    elif policy in (CLOCK, CLOCK_REFERENCED):
        clock.enter(layer, owner, node)
    elif policy == SIEVE:
        sieve.enter(layer, owner, node)
    elif policy == LFU:
        lfu.enter(layer, owner, node, when)
    elif policy in (LRU2, LRU2_HISTORY):
        lru2.enter(layer, owner, node, when)
    elif policy == RANDOM:
        slots.add(layer, owner, node)
    elif policy == TWO_LIST:
        two_list.enter(layer, owner, node)
    else:
        opt.enter(layer, owner, node, when)


@kernel
def _refer(layer, owner, node, when):
    policy = layer.owners[owner, POLICY]
    if policy == LRU:
        lru.refer(layer, owner, node)
    elif policy == LFU:
        lfu.refer(layer, owner, node, when)
    elif policy in (LRU2, LRU2_HISTORY):
        lru2.refer(layer, owner, node, when)
    elif policy == OPT:
        opt.refer(layer, owner, node, when)
    elif policy not in (FIFO, RANDOM):
        note_accessed(layer, node - 1)


@kernel
def _leave(layer, owner, node):
    policy = layer.owners[owner, POLICY]
    if policy == SIEVE:
        sieve.leave(layer, owner, node)
    elif policy in (LRU2, LRU2_HISTORY):
        lru2.leave(layer, owner, node)
    elif policy in (LFU, OPT):
        heap.remove(layer, owner, node)
    elif policy == RANDOM:
        slots.remove(layer, owner, node)
    elif policy == TWO_LIST:
        two_list.leave(layer, owner, node)
    else:
        fifo.leave(layer, owner, node)


@kernel
def _forget(layer, owner, node):
    """Forget what policies remember of pages that they have evicted."""
    if layer.owners[owner, POLICY] == TWO_LIST:
        layer.words[node] = 0
    elif layer.owners[owner, POLICY] == LRU2_HISTORY:
        layer.keys[node, 1] = 0


@kernel
def _victim(layer, owner):
    policy = layer.owners[owner, POLICY]
    if policy in (FIFO, LRU):
        return fifo.victim(layer, owner)
    if policy in (CLOCK, CLOCK_REFERENCED):
        return clock.victim(layer, owner)
    if policy == SIEVE:
        return sieve.victim(layer, owner)
    if policy == RANDOM:
        return random.victim(layer, owner)
    if policy == TWO_LIST:
        return two_list.victim(layer, owner)
    return heap.pop(layer, owner)
