"""Tree-PLRU: a bit for each pair of branches says which of them was not used last. What processors build for LRU.

The ways are the leaves of a binary tree over the next power of two. Its nodes are numbered as a heap is, from 1 at
the root, and the bit of node n is bit n - 1 of the set's order word: 63 bits serve 64 ways.

                 1
           2           3           bit set: the victim is to the right
         4   5       6   7
        0 1 2 3     4 5 6 7        with 6 ways, node 7 has no way below it, and 3 always leads to 6

A hit and a fill make every node on the way's path point to the other side; the victim is where the nodes lead, and a
branch without ways below it is never taken. Empty ways come first, lowest first; emptying one changes no bit.
It costs one bit per way where LRU costs log2(ways), and errs: the way used last but one may be next to leave.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.sets import EMPTY, WAYS, find, order_of
from vmcfg.jit import kernel, part


@kernel
def touch(stores, built, index, way):
    """Make the nodes above `way` point away from it."""
    place = order_of(built, index)
    stores.words[place] = _pointing_away(stores.words[place], built[WAYS], way)


@kernel
def replace(stores, built, index):
    """Return the lowest empty way, else the victim; it counts as used."""
    way = find(stores, built, index, EMPTY)
    if way < 0:
        way = _victim(stores.words[order_of(built, index)], built[WAYS])
    touch(stores, built, index, way)
    return way


@kernel
def forget(stores, built, index, way):
    """Leave the tree as it is: tags tell which ways are empty."""


@kernel
def clear(stores, built, index):
    """Begin with a tree that leads to the left."""
    stores.words[order_of(built, index)] = 0


@part
def _pointing_away(tree, ways, way):
    node = np.int64(1)
    half = _leaves(ways) >> 1
    while half:
        is_right = np.int64((way & half) != 0)
        bit = np.int64(1) << (node - 1)
        tree = (tree & ~bit) | (bit * (1 - is_right))
        node = 2 * node + is_right
        half >>= 1
    return tree


@part
def _victim(tree, ways):
    node = np.int64(1)
    way = np.int64(0)  # the leftmost leaf below the node
    half = _leaves(ways) >> 1
    while half:
        is_right = (tree >> (node - 1)) & np.int64(way + half < ways)
        way += half * is_right
        node = 2 * node + is_right
        half >>= 1
    return way


@kernel
def _leaves(ways):
    """Return the next power of two."""
    leaves = np.int64(1)
    while leaves < ways:
        leaves <<= 1
    return leaves
