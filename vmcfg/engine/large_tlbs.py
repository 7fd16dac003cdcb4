"""TLB entries of 2 MiB and 1 GiB: looked up, filled, marked and dropped. Only hosts that can have any come here.

Processors keep them in arrays of their own beside those for 4 KiB, or all sizes in one: a profile says where each size
has its home in the first level and in the second (`cost[HOMES + …]`, a store of the core or NOWHERE). An entry maps the
smaller of the guest's page and the host's: a large guest page on small host pages is *splintered*, and takes an entry
for each piece that is used. Where the first level has no home for a size, its pages are held in pieces of the next
smaller one; where the second has none, only the first holds them.

In a home that sizes share, the tag says which one it is (`large_tag`).
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.assoc import (
    NARROW,
    SETS,
    drop,
    fill,
    find,
    geometry,
    is_dirty,
    payload_of,
    set_dirty,
    set_of,
    touch,
)
from vmcfg.hardware.core import L1, L1I, STORES, walk_key
from vmcfg.hardware.sets import large_tag
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Sized
from vmcfg.mmu.walks import guest_leaf, host_leaf
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below

NOWHERE = -1
FIRST, SECOND = range(2)
SIZES = (2, 3)  # levels of the entries that map them
IN_FIRST, IN_SECOND = 1, 2  # where a lookup has found an entry, 0 if nowhere


@part
def look_up_large(m, core, space, vpn, kind):
    """Look for a large entry, first level first; one found in the second is filled into the first.

    Returns (where it was: 0, IN_FIRST or IN_SECOND, its D).
    """
    stores = m.stores
    for which in (FIRST, SECOND):
        for level in SIZES:
            store = _home(m, core, which, level, kind)
            if store >= 0:
                built = geometry(stores, store, False, NARROW)
                key, tag = walk_key(vpn, level), large_tag(space, walk_key(vpn, level), level)
                index = set_of(built, key)
                way = find(stores, built, index, tag)
                if way >= 0:
                    touch(stores, built, index, way)
                    has_dirty = is_dirty(stores, built, index, way)
                    if which == SECOND:
                        _fill(m, core, FIRST, level, kind, key, tag, payload_of(stores, built, index, way), has_dirty)
                    return np.int64(which + 1), has_dirty
    return np.int64(0), np.int64(0)


@part
def fill_large(m, walker, vpn, kind, frame, has_dirty, leaves):
    """Fill both levels by the size that a walk has found, count it, and tell whether it is a large one."""
    level = min(guest_leaf(leaves), host_leaf(leaves))
    while level > 1 and m.cost[at.HOMES + level - 2] == NOWHERE:
        level -= 1
    m.sizes[walker.row, Sized.FILLED_4K + level - 1] += 1
    m.sizes[walker.row, Sized.FILLED_SPLINTERED] += level < guest_leaf(leaves)
    if level == 1:
        return False
    key = walk_key(vpn, level)
    tag = large_tag(walker.space, key, level)
    first = frame - (vpn & (pages_below(level) - 1))
    _fill(m, walker.core, SECOND, level, kind, key, tag, first, has_dirty)
    _fill(m, walker.core, FIRST, level, kind, key, tag, first, has_dirty)
    return True


@part
def set_dirty_large(m, core, space, vpn):
    """Set D in the large entries of a page, as far as stores use them; recency does not change."""
    for which in (FIRST, SECOND):
        for level in SIZES:
            store = _home(m, core, which, level, np.int64(at.STORE))
            if store >= 0:
                built = geometry(m.stores, store, False, NARROW)
                key = walk_key(vpn, level)
                index = set_of(built, key)
                way = find(m.stores, built, index, large_tag(space, key, level))
                if way >= 0:
                    set_dirty(m.stores, built, index, way)


@part
def drop_large(m, core, space, vpn):
    """Drop the large entries of a page, also those that fetches use."""
    for kind in (at.FETCH, at.STORE):
        for which in (FIRST, SECOND):
            for level in SIZES:
                store = _home(m, core, which, level, np.int64(kind))
                if store >= 0:
                    key = walk_key(vpn, level)
                    drop(m.stores, geometry(m.stores, store, False, NARROW), key, large_tag(space, key, level))


@kernel
def _home(m, core, which, level, kind):
    """Return the store that holds pages of a size, or NOWHERE. Fetches share all but an L1 of all sizes."""
    home = m.cost[at.HOMES + 2 * which + level - 2]
    if home == NOWHERE:
        return home
    if home == L1 and kind == at.FETCH and m.stores.shape[core * STORES + L1I, SETS]:
        home = np.int64(L1I)
    return core * STORES + home


@kernel
def _fill(m, core, which, level, kind, key, tag, frame, has_dirty):
    store = _home(m, core, which, level, kind)
    if store >= 0:
        built = geometry(m.stores, store, False, NARROW)
        fill(m.stores, built, set_of(built, key), tag, frame, has_dirty)
