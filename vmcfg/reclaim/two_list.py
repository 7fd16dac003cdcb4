"""Two lists, as in Linux: pages come to an inactive list, and have to be seen accessed twice to become active.

Victims are taken from the inactive list's old end; a page there that has been accessed gets another turn, and the
second time becomes active. The active list gives its oldest pages back as long as it is the longer one. So what is used
once passes through without harm, and what is used often is looked at rarely.

A page that is evicted leaves a mark: the age at which it went. The age counts evictions and activations, so that the
difference when it returns, its *refault distance*, says how much longer the inactive list should have been. If that is
at most the length of the active list, the page would have stayed, had the active pages made room: it becomes active
at once (Johannes Weiner, mm/workingset.c).

A reclaim wants 32 pages. It goes in rounds of priority 12 … 0: the round scans inactive >> priority pages, then, if
the inactive list was the shorter one when it began, active >> priority, and 32 more if it still is. Here a victim is
asked for one at a time, so a reclaim is suspended after each: 32 victims are one reclaim, and with the last of them its
round ends. A reclaim that comes out of priority 0 without its 32 is followed by another.

Real memory is divided further (file and anonymous pages, batches that are put back together); what is here comes within
1 % of the misses of Linux 6.18 on the mixes that were measured. It loses where the working set moves: an active page
has to come down two lists. In a loop over more than memory it misses always, as LRU does.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.reclaim import lists
from vmcfg.reclaim.layer import (
    ACCESSED,
    ACTIVE,
    AGE,
    REFERENCED,
    RESIDENT,
    ROUND,
    TAKEN,
    TO_AGE,
    TO_SCAN,
    clear_accessed,
    is_accessed,
)

INACTIVE_LIST, ACTIVE_LIST = range(2)
BATCH = 32
ROUNDS = 13  # of priority 12 … 0


@kernel
def enter(layer, owner, node):
    """The page becomes the newest of one of the lists, accessed."""
    mark = layer.words[node]
    clear_accessed(layer, node - 1)
    if mark < 0 and layer.owners[owner, AGE] - ~mark <= layer.owners[owner, RESIDENT + ACTIVE_LIST]:
        _activate(layer, owner, node, ACCESSED)
    else:
        lists.append(layer, owner, INACTIVE_LIST, node, ACCESSED)


@kernel
def mark_of(layer, page):
    """Return the mark that a victim has left at its page: never 0, unless it is taken elsewhere by now."""
    return layer.words[page + 1]


@kernel
def give_mark(layer, page, mark):
    """Let a page that is about to enter have a mark that was taken elsewhere, or none with 0."""
    layer.words[page + 1] = mark


@kernel
def leave(layer, owner, node):
    """The page leaves its list, without a mark."""
    lists.take_out(layer, owner, np.int64(layer.words[node] & ACTIVE != 0), node)


@part
def victim(layer, owner):
    """Take out and return the next node, or 0."""
    counts = layer.owners
    while counts[owner, RESIDENT + INACTIVE_LIST] + counts[owner, RESIDENT + ACTIVE_LIST] > 0:
        node = _scan(layer, owner)
        if node:
            return node
        if counts[owner, ROUND]:
            _end_round(layer, owner)
        _begin_round(layer, owner)
    return 0


@part
def _scan(layer, owner):
    """Scan what the round has left of the inactive list; return the first node that can go, or 0."""
    counts = layer.owners
    while counts[owner, TO_SCAN] > 0 and counts[owner, RESIDENT + INACTIVE_LIST] > 0:
        counts[owner, TO_SCAN] -= 1
        node = lists.oldest(layer, owner, INACTIVE_LIST)
        if not is_accessed(layer, node - 1):
            _evict(layer, owner, node)
            return node
        _keep(layer, owner, node)
    return 0


@kernel
def _evict(layer, owner, node):
    lists.take_out(layer, owner, INACTIVE_LIST, node)
    layer.words[node] = ~layer.owners[owner, AGE]
    layer.owners[owner, AGE] += 1
    layer.owners[owner, TAKEN] += 1
    if layer.owners[owner, TAKEN] == BATCH:
        _end_round(layer, owner)
        layer.owners[owner, ROUND] = 0


@kernel
def _keep(layer, owner, node):
    """Accessed: the second time the page becomes active, the first time it gets another turn."""
    clear_accessed(layer, node - 1)
    was_seen = layer.words[node] & REFERENCED != 0
    lists.take_out(layer, owner, INACTIVE_LIST, node)
    if was_seen:
        _activate(layer, owner, node, 0)
    else:
        lists.append(layer, owner, INACTIVE_LIST, node, REFERENCED)


@kernel
def _activate(layer, owner, node, flags):
    lists.append(layer, owner, ACTIVE_LIST, node, ACTIVE | flags)
    layer.owners[owner, AGE] += 1


@kernel
def _begin_round(layer, owner):
    """Begin the next round, of the next reclaim after the last one; say how much of each list it scans."""
    counts = layer.owners
    if counts[owner, ROUND] == 0 or counts[owner, ROUND] == ROUNDS:
        counts[owner, ROUND] = 0
        counts[owner, TAKEN] = 0
    counts[owner, ROUND] += 1
    priority = ROUNDS - counts[owner, ROUND]
    active = counts[owner, RESIDENT + ACTIVE_LIST]
    counts[owner, TO_SCAN] = counts[owner, RESIDENT + INACTIVE_LIST] >> priority
    counts[owner, TO_AGE] = active >> priority if _is_inactive_short(layer, owner) else 0


@part
def _end_round(layer, owner):
    """Scan the active list as far as the round goes, then a batch more if the inactive one is still short."""
    _age(layer, owner, layer.owners[owner, TO_AGE])
    if _is_inactive_short(layer, owner):
        _age(layer, owner, np.int64(BATCH))
    layer.owners[owner, TO_SCAN] = 0
    layer.owners[owner, TO_AGE] = 0


@part
def _age(layer, owner, count):
    """Move so many of the oldest active pages to the inactive list, not accessed."""
    for _ in range(min(count, layer.owners[owner, RESIDENT + ACTIVE_LIST])):
        node = lists.oldest(layer, owner, ACTIVE_LIST)
        clear_accessed(layer, node - 1)
        lists.take_out(layer, owner, ACTIVE_LIST, node)
        lists.append(layer, owner, INACTIVE_LIST, node, 0)


@kernel
def _is_inactive_short(layer, owner):
    return layer.owners[owner, RESIDENT + INACTIVE_LIST] < layer.owners[owner, RESIDENT + ACTIVE_LIST]
