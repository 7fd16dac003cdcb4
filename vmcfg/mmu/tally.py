"""What a walk counts, in one integer: references and hits of walk caches, each in twelve bits of its own.

Walks count a handful of things several times each, and a loop of walks adds them all up. As one number they stay in one
register, and what a row of walks has counted is taken apart once. A walk makes at most MOST_REFERENCES, and a
row has no more than MOST_WALKING of them (`engine.turn`): a hundred walks would not overflow.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.metrics.events import Event

BITS = 12
GUEST_REF = np.int64(1)
HOST_REF = np.int64(1 << BITS)
GUEST_HIT = np.int64(1 << 2 * BITS)
HOST_HIT = np.int64(1 << 3 * BITS)
NESTED_HIT = np.int64(1 << 4 * BITS)

MOST_REFERENCES = 35  # of a walk: 5 · (5 + 1) + 5
ONE = np.int64((1 << BITS) - 1)  # a mask of the first


@kernel
def guest_refs_of(tally):
    """Return the references to the guest's tables."""
    return tally & ONE


@kernel
def host_refs_of(tally):
    """Return the references to the host's tables."""
    return (tally >> BITS) & ONE


@kernel
def refs_of(tally):
    """Return all references."""
    return guest_refs_of(tally) + host_refs_of(tally)


@kernel
def walk_cache_hits_of(tally):
    """Return the hits in the walk caches of both dimensions."""
    return ((tally >> 2 * BITS) & ONE) + ((tally >> 3 * BITS) & ONE)


@kernel
def nested_hits_of(tally):
    """Return the hits in the nested TLB."""
    return (tally >> 4 * BITS) & ONE


@kernel
def count_hits(m, row, tally):
    """Count what the walk caches and the nested TLB have spared."""
    m.counters[row, Event.GUEST_WALK_CACHE_HITS] += (tally >> 2 * BITS) & ONE
    m.counters[row, Event.HOST_WALK_CACHE_HITS] += (tally >> 3 * BITS) & ONE
    m.counters[row, Event.NESTED_TLB_HITS] += nested_hits_of(tally)


@kernel
def count_refs(m, row, tally):
    """Count the references of complete walks."""
    m.counters[row, Event.GUEST_REFS] += guest_refs_of(tally)
    m.counters[row, Event.HOST_REFS] += host_refs_of(tally)
    m.counters[row, Event.WALK_REFS] += refs_of(tally)
