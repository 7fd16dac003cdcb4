"""Clock: FIFO with a second chance for pages whose accessed bit is set (Corbató, MIT Project MAC, MAC-M-384, 1968).

The victim is sought from the oldest page on. A page with its bit set loses it and becomes the newest; the first one
without is the victim. As a hand goes round the pages instead, it visits the same ones in the same order.

Texts differ in the bit of a page that has just entered, and the counts differ with them. `clock` enters with the bit
clear: a page must be accessed again to be kept, and one that is not leaves after a turn. `clock_referenced` enters with
the bit set, as hardware does where the access that faulted is repeated; each page then lasts two turns, and Belady's
anomaly is back. Both lose to scans as LRU does, and where most bits are set between two victims: they become FIFO.
"""

from __future__ import annotations

from vmcfg.jit import kernel, part
from vmcfg.reclaim import lists
from vmcfg.reclaim.layer import ACCESSED, CLOCK_REFERENCED, POLICY, clear_accessed, is_accessed


@kernel
def enter(layer, owner, node):
    """The page becomes the newest, its bit as the reading has it."""
    clear_accessed(layer, node - 1)
    is_set = layer.owners[owner, POLICY] == CLOCK_REFERENCED
    lists.append(layer, owner, 0, node, ACCESSED if is_set else 0)


@part
def victim(layer, owner):
    """Take out and return the oldest node without its bit, or 0; those before it become the newest."""
    end = lists.end_of(layer, owner, 0)
    node = lists.oldest(layer, owner, 0)
    while node != end:
        is_spared = is_accessed(layer, node - 1)
        clear_accessed(layer, node - 1)
        lists.take_out(layer, owner, 0, node)
        if not is_spared:
            return node
        lists.append(layer, owner, 0, node, 0)
        node = lists.oldest(layer, owner, 0)
    return 0
