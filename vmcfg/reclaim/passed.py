"""Victims that are passed over: whoever asked for one cannot use it, and asks for the next.

A policy of lists takes such a page anew: it goes to where pages come in, and all others are named before it is named
again. A policy that ranks pages by keys would name it again at once, for a page that comes anew has the lowest rank. So
it is set aside with its keys, and taken back to its rank when the search is over. The chain lies where
pages have their slots, which nobody looks at while they have none.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.reclaim import heap, slots
from vmcfg.reclaim.layer import KEYED, POLICY

NOBODY = 0


@kernel
def is_ranked(layer, owner):
    """Tell whether an owner's policy ranks its pages by keys."""
    return layer.owners[owner, POLICY] in KEYED


@kernel
def set_aside(layer, page, others):
    """Add a victim to others that have been passed over, NOBODY at first; return all of them."""
    slots.name(layer, page + 1, others)
    return np.int64(page + 1)


@part
def take_back(layer, owner, pages):
    """Let all that have been set aside be where they were."""
    while pages != NOBODY:
        following = slots.slot_of(layer, pages)
        heap.push(layer, owner, pages)
        pages = following
