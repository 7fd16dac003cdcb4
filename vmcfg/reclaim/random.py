"""Random: any resident page goes, each with the same chance, as in ESX (Waldspurger, OSDI 2002, section 6.3).

It needs no knowledge and has no bad case: on a loop over a little more than memory, where LRU misses always, it keeps
most of it; and two layers that page the same memory do not agree on the same page, which makes double paging rare. It
loses a little everywhere else. Victim i is slot 1 + the draw below n of word i of the owner's stream, n pages being
resident; who leaves is replaced in his slot by the last.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.reclaim import slots
from vmcfg.reclaim.layer import DRAWN, RESIDENT
from vmcfg.rng import mulhi, word


@kernel
def victim(layer, owner):
    """Take out and return a node by chance, or 0."""
    count = layer.owners[owner, RESIDENT]
    if count == 0:
        return 0
    draw = word(layer.streams[owner], np.uint64(layer.owners[owner, DRAWN]))
    layer.owners[owner, DRAWN] += 1
    node = slots.node_in(layer, owner, 1 + np.int64(mulhi(draw, np.uint64(count))))
    slots.remove(layer, owner, node)
    return node
