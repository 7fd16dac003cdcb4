"""A binary heap in an owner's slots: in slot 1 is the node whose pair of keys is smallest.

Each operation takes a number of steps that grows as the logarithm of the resident pages. The pair of a node lies at
`keys[node]`; a policy writes it, and then says that the node is new or that its pair has changed.
"""

from __future__ import annotations

from vmcfg.jit import kernel, part
from vmcfg.reclaim import slots
from vmcfg.reclaim.layer import RESIDENT


@kernel
def push(layer, owner, node):
    """Add a node whose keys have been written."""
    _rise(layer, owner, slots.add(layer, owner, node))


@kernel
def moved(layer, owner, node):
    """Restore the order after a node's keys have changed."""
    _settle(layer, owner, slots.slot_of(layer, node))


@kernel
def remove(layer, owner, node):
    """Take a node out of the heap, from wherever it is."""
    slot = slots.remove(layer, owner, node)
    if slot:
        _settle(layer, owner, slot)


@kernel
def pop(layer, owner):
    """Take out and return the first node, or 0 if there is none."""
    if layer.owners[owner, RESIDENT] == 0:
        return 0
    node = slots.node_in(layer, owner, 1)
    remove(layer, owner, node)
    return node


@part
def _settle(layer, owner, slot):
    _sink(layer, owner, _rise(layer, owner, slot))


@part
def _rise(layer, owner, slot):
    """Exchange who is in a slot with those above as long as they go later; return where that ends."""
    node = slots.node_in(layer, owner, slot)
    while slot > 1:
        above = slots.node_in(layer, owner, slot >> 1)
        if not _goes_first(layer, node, above):
            break
        slots.put(layer, owner, slot, above)
        slot >>= 1
    slots.put(layer, owner, slot, node)
    return slot


@part
def _sink(layer, owner, slot):
    """Exchange who is in a slot with those below as long as they go first."""
    node = slots.node_in(layer, owner, slot)
    count = layer.owners[owner, RESIDENT]
    while 2 * slot <= count:
        below = 2 * slot
        lower = slots.node_in(layer, owner, below)
        if below < count:
            other = slots.node_in(layer, owner, below + 1)
            if _goes_first(layer, other, lower):
                below, lower = below + 1, other
        if not _goes_first(layer, lower, node):
            break
        slots.put(layer, owner, slot, lower)
        slot = below
    slots.put(layer, owner, slot, node)


@kernel
def _goes_first(layer, node, other):
    first, second = layer.keys[node, 0], layer.keys[other, 0]
    return first < second or (first == second and layer.keys[node, 1] < layer.keys[other, 1])
