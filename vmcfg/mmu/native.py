"""`native`: the guest page table alone, as on bare metal.

Who keeps which table: the operating system its own, and nobody else any. What is write-protected: nothing.
What exits: nothing, there is no VMM. What it costs: up to four references per TLB miss. It is the reference
for every slowdown; a scenario's VMs are then disjoint machines, each with all of its memory from the start.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import GUEST_WALK, STORES
from vmcfg.jit import kernel, unlikely
from vmcfg.mmu.references import refer
from vmcfg.mmu.tally import GUEST_HIT, GUEST_REF
from vmcfg.mmu.walks import (
    COMPLETE,
    GUEST_PAGE_FAULT,
    begin,
    fill_walk_cache,
    is_dirty_entry,
    is_guest_leaf,
    leaves_of,
    page_of,
    probe_walk_caches,
    read_guest_entry,
    slot_among,
)
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.large_pages import LARGEST


@kernel
def walk(m, walker, vpn, is_store, is_quiet, is_lean):
    """Walk the guest table for one page; a quiet walk (for D alone) changes nothing in the walk caches.

    Returns what `mmu.walks` says that a walk returns.
    """
    caches = walker.core * STORES + GUEST_WALK
    found, table = probe_walk_caches(
        m.stores, caches, walker.levels, walker.space, vpn, walker.bits, is_quiet, is_lean
    )
    zero = tally = entry = np.int64(0)
    leaf = np.int64(1)
    if found <= walker.levels:
        tally += GUEST_HIT
    else:
        table, _, is_there = begin(m, walker, vpn, is_lean)
        if not is_there:
            return GUEST_PAGE_FAULT, zero, zero, tally, zero
    for level in range(walker.levels, 0, -1):  # in lean loops a constant: they are unrolled
        if level >= found:
            continue
        refer(m, walker, walker.first_frame + m.guests.ppns[table], vpn, level, walker.bits)
        entry = read_guest_entry(m, slot_among(table, vpn, level, walker.bits), level, is_store, is_lean)
        tally += GUEST_REF
        if unlikely(entry & at.PRESENT == 0):
            return GUEST_PAGE_FAULT, zero, zero, tally, zero
        if is_guest_leaf(entry, level, is_lean):
            leaf = np.int64(level)
            break
        table = entry >> at.CHILD_SHIFT
        if not is_quiet:
            fill_walk_cache(m.stores, caches + level, level, walker.space, vpn, walker.bits, table, is_lean)
    frame = walker.first_frame + page_of(entry)  # a machine of its own: its frames lie in the order of its pages
    if not is_lean:
        frame += vpn & (pages_below(leaf) - 1)
    leaves = leaves_of(leaf, LARGEST)
    return COMPLETE, frame, is_dirty_entry(entry), tally, leaves
