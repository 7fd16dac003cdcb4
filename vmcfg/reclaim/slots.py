"""Slots: an owner's resident pages without gaps, in slots 1 … n, and for each page its slot.

Both are halves of the same words: the older half of a node's word is its own slot, the newer half of the word of the
owner's i-th node says who is in slot i. Nothing else is meant by their standing in one word.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim.layer import FIRST, HALF, HALF_BITS, RESIDENT


@kernel
def add(layer, owner, node):
    """Put a node into the slot behind the last; return the slot."""
    layer.owners[owner, RESIDENT] += 1
    slot = layer.owners[owner, RESIDENT]
    put(layer, owner, slot, node)
    return slot


@kernel
def remove(layer, owner, node):
    """Fill a node's slot with who is in the last one; return the slot, or 0 if it was the last itself."""
    slot = slot_of(layer, node)
    last = node_in(layer, owner, layer.owners[owner, RESIDENT])
    layer.owners[owner, RESIDENT] -= 1
    layer.words[node] &= ~HALF
    if last == node:
        return 0
    put(layer, owner, slot, last)
    return slot


@kernel
def slot_of(layer, node):
    """Return the slot that a resident node is in."""
    return layer.words[node] & HALF


@kernel
def node_in(layer, owner, slot):
    """Return who is in a slot."""
    return (layer.words[layer.owners[owner, FIRST] + slot] >> HALF_BITS) & HALF


@kernel
def put(layer, owner, slot, node):
    """Put a node into a slot; who was there is to be put elsewhere."""
    place = layer.owners[owner, FIRST] + slot
    layer.words[place] = (layer.words[place] & HALF) | (node << HALF_BITS)
    name(layer, node, slot)


@kernel
def name(layer, node, number):
    """Write where a node has its slot's number."""
    layer.words[node] = (layer.words[node] & ~HALF) | number
