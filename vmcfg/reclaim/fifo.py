"""First in, first out: the page that has been resident longest goes, however much it is used.

It needs no knowledge of accesses at all, which is why early systems had it. It shows Belady's anomaly: more memory can
mean more misses (Belady, Nelson and Shedler, CACM 12(6), 1969). It loses wherever some pages are hot: each of them is
evicted once per turn of the queue.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim import lists


@kernel
def enter(layer, owner, node):
    """The page becomes the newest."""
    lists.append(layer, owner, 0, node, 0)


@kernel
def leave(layer, owner, node):
    """The page leaves the queue."""
    lists.take_out(layer, owner, 0, node)


@kernel
def victim(layer, owner):
    """Take out and return the oldest node, or 0."""
    node = lists.oldest(layer, owner, 0)
    if node == lists.end_of(layer, owner, 0):
        return 0
    lists.take_out(layer, owner, 0, node)
    return node
