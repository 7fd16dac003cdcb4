"""Lists of resident pages, from oldest to newest, linked through the pages' words.

A list is a ring that is closed by its *end*, a node without a page: the node newer than the end is the oldest page, the
one older than the end the newest. So nothing is a special case: not the first page, not the last, not the only one.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim.layer import HALF, HALF_BITS, LISTS, PAGES, RESIDENT

_NEWER = HALF << HALF_BITS


@kernel
def end_of(layer, owner, which):
    """Return the end of one of an owner's lists."""
    return layer.settings[PAGES] + 1 + LISTS * owner + which


@kernel
def newer(layer, node):
    """Return the next newer node."""
    return (layer.words[node] >> HALF_BITS) & HALF


@kernel
def oldest(layer, owner, which):
    """Return the oldest node of a list, or its end if it is empty."""
    return newer(layer, end_of(layer, owner, which))


@kernel
def append(layer, owner, which, node, flags):
    """Make a node that is in no list the newest of one; `flags` are all that its word says besides."""
    end = end_of(layer, owner, which)
    last = _older(layer, end)
    layer.words[node] = flags | (end << HALF_BITS) | last
    _set_newer(layer, last, node)
    _set_older(layer, end, node)
    layer.owners[owner, RESIDENT + which] += 1


@kernel
def take_out(layer, owner, which, node):
    """Take a node out of its list; its word becomes 0."""
    before, after = _older(layer, node), newer(layer, node)
    _set_newer(layer, before, after)
    _set_older(layer, after, before)
    layer.words[node] = 0
    layer.owners[owner, RESIDENT + which] -= 1


@kernel
def _older(layer, node):
    return layer.words[node] & HALF


@kernel
def _set_newer(layer, node, other):
    layer.words[node] = (layer.words[node] & ~_NEWER) | (other << HALF_BITS)


@kernel
def _set_older(layer, node, other):
    layer.words[node] = (layer.words[node] & ~HALF) | other
