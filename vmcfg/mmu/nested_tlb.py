"""The nested TLB: guest-physical pages to machine frames, so that a hit replaces a whole walk of the host's table.

Bhargava et al. (ASPLOS 2008) gave it guest table pages only: a walk has to find several of them, and few make up the
upper levels of all walks. With data pages beside them it spares the last host walk too, as long as they do not displace
each other; a second-level TLB of the same size would spare all the rest of the walk with it.

An entry for a data page remembers D of the host's leaf, as TLB entries do. A write that finds an entry without it has
to walk the host's table, which sets D there and then here. Reading a guest table counts as a write, so that entries of
table pages have D from the start, and nobody asks.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.assoc import (
    NARROW,
    SETS,
    fill,
    find,
    geometry,
    is_dirty,
    payload_of,
    set_dirty,
    set_of,
    tag_of,
    touch,
)
from vmcfg.hardware.core import NESTED_TLB, STORES
from vmcfg.jit import kernel
from vmcfg.vmm import machine as at

ABSENT = np.int64(0)  # no pmap entry


@kernel
def probe(m, walker, ppn, is_write, holds_data, is_quiet, is_lean):
    """Return what the nested TLB knows of a guest page, as a pmap entry, or ABSENT."""
    built = geometry(m.stores, walker.core * STORES + NESTED_TLB, is_lean, NARROW)
    if built[SETS] == 0:
        return ABSENT
    index = set_of(built, ppn)
    way = find(m.stores, built, index, tag_of(walker.vm, ppn))
    if way < 0:
        return ABSENT
    has_dirty = holds_data and is_dirty(m.stores, built, index, way) != 0
    if holds_data and is_write and not has_dirty:
        return ABSENT
    if not is_quiet:
        touch(m.stores, built, index, way)
    return (payload_of(m.stores, built, index, way) << at.MPN_SHIFT) | has_dirty * at.HOST_DIRTY | at.PRIVATE


@kernel
def keep(m, walker, ppn, page, holds_data, is_quiet, is_lean):
    """Keep the pmap entry of a guest page whose host walk is complete; an entry that lacked D is there, and gets it."""
    built = geometry(m.stores, walker.core * STORES + NESTED_TLB, is_lean, NARROW)
    if built[SETS] == 0:
        return
    index = set_of(built, ppn)
    tag = tag_of(walker.vm, ppn)
    has_dirty = np.int64(holds_data and (m.cost[at.HAS_EPT_AD] == 0 or page & at.HOST_DIRTY != 0))
    if holds_data:
        way = find(m.stores, built, index, tag)
        if way >= 0:
            set_dirty(m.stores, built, index, way)
            return
    if not is_quiet:
        fill(m.stores, built, index, tag, page >> at.MPN_SHIFT, has_dirty)
