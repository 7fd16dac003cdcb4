"""LRU-2: the page whose second-last access is longest ago goes (O'Neil, O'Neil and Weikum, SIGMOD 1993).

A page that has been accessed only once counts as accessed infinitely long ago before that, so such pages go first, the
least recent of them first: a scan passes through without pushing out what is used again and again. Their correlated
reference period and the limit to what is retained are not modelled.

What is known of a page that was evicted? `lru2` forgets it: a page that returns has been accessed once. `lru2_history`
keeps the time of its last access, as the paper has it, and then a page that returns has its second-last access there.
A page that is freed is forgotten by both. It loses to LRU where a second access says little, soon after the first.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim import heap
from vmcfg.reclaim.layer import LRU2_HISTORY, POLICY


@kernel
def enter(layer, owner, node, when):
    """The page has been accessed, for the first time unless history says otherwise. Times are kept plus one."""
    has_history = layer.owners[owner, POLICY] == LRU2_HISTORY
    layer.keys[node, 0] = layer.keys[node, 1] if has_history else 0
    layer.keys[node, 1] = when + 1
    heap.push(layer, owner, node)


@kernel
def refer(layer, owner, node, when):
    """The last access becomes the second-last."""
    layer.keys[node, 0] = layer.keys[node, 1]
    layer.keys[node, 1] = when + 1
    heap.moved(layer, owner, node)


@kernel
def leave(layer, owner, node):
    """The page goes, and what was known of it."""
    heap.remove(layer, owner, node)
    layer.keys[node, 1] = 0
