"""Least recently used: the page whose last access is longest ago goes.

Exact LRU must be told of every access, which no hardware does: here it is a bound for what tables with A bits can do.
What a capacity would have missed can be read off one pass for all capacities (Mattson et al., IBM Systems Journal
9(2), 1970; `reclaim.curves`). It loses to a scan: a loop over a little more than memory misses on every access.

New pages and victims are those of `fifo`; a page that is accessed becomes the newest again.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim import lists


@kernel
def refer(layer, owner, node):
    """The page becomes the newest."""
    lists.take_out(layer, owner, 0, node)
    lists.append(layer, owner, 0, node, 0)
