"""Sieve: a queue that is never reordered, one bit per page, and a hand (Zhang et al., NSDI 2024).

The hand goes from the oldest page to the newest. A page with its bit set loses it and stays where it is; the first one
without is the victim, and there the hand remains, at the next newer page. Past the newest it begins at the oldest
again. New pages are put in behind the hand's back and have to show their worth until it comes round: pages that are
accessed once are sifted out fast, those that have survived are looked at rarely. A page that leaves by itself from
under the hand moves it on by one.

It loses where what is hot changes: an old page is kept for a turn of the hand after its last access. It can keep
what a scan has touched twice, and in a loop over more than memory it misses as the others do.
"""

from __future__ import annotations

from vmcfg.jit import kernel, part
from vmcfg.reclaim import lists
from vmcfg.reclaim.layer import HAND, clear_accessed, is_accessed


@kernel
def enter(layer, owner, node):
    """The page becomes the newest, its bit clear."""
    clear_accessed(layer, node - 1)
    lists.append(layer, owner, 0, node, 0)


@kernel
def leave(layer, owner, node):
    """The page leaves the queue, and the hand does not point to it."""
    if layer.owners[owner, HAND] == node:
        layer.owners[owner, HAND] = lists.newer(layer, node)
    lists.take_out(layer, owner, 0, node)


@part
def victim(layer, owner):
    """Take out and return the node at which the hand stops, or 0."""
    end = lists.end_of(layer, owner, 0)
    if lists.oldest(layer, owner, 0) == end:
        return 0
    node = layer.owners[owner, HAND]
    while True:
        if node == 0 or node == end:
            node = lists.oldest(layer, owner, 0)
        if not is_accessed(layer, node - 1):
            break
        clear_accessed(layer, node - 1)
        node = lists.newer(layer, node)
    layer.owners[owner, HAND] = node
    leave(layer, owner, node)
    return node
