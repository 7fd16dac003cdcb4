"""Least frequently used: the page with the fewest accesses since it came goes.

The count lives as long as the page is resident: one that returns begins at 1 again. Among equal counts the page goes
whose count changed longest ago, so that of pages accessed once the least recent one goes. With the oldest arrival first
instead, the counts of misses are others. It loses when habits change: what was hot stays until others have as many
accesses.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim import heap


@kernel
def enter(layer, owner, node, when):
    """The page has been accessed once."""
    layer.keys[node, 0] = 1
    layer.keys[node, 1] = when
    heap.push(layer, owner, node)


@kernel
def refer(layer, owner, node, when):
    """The page has been accessed once more."""
    layer.keys[node, 0] += 1
    layer.keys[node, 1] = when
    heap.moved(layer, owner, node)
