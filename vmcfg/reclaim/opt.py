"""Belady's optimum: the page goes whose next access is farthest ahead (Belady, IBM Systems Journal 5(2), 1966).

No policy misses less. It must know the future, so it is a bound and nothing that could be built: with each access comes
the time of the next one to the same page. Among pages that are never accessed again the lowest goes first, which
changes no count.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim import heap

NEVER = 1 << 62  # the next access of a page that has none


@kernel
def enter(layer, owner, node, when):
    """The page will be accessed next at `when`."""
    layer.keys[node, 0] = -when
    layer.keys[node, 1] = node
    heap.push(layer, owner, node)


@kernel
def refer(layer, owner, node, when):
    """The page has been accessed, and will be next at `when`."""
    layer.keys[node, 0] = -when
    heap.moved(layer, owner, node)
