"""`native`: the guest page table alone, as on bare metal.

Who keeps which table: the operating system its own, and nobody else any. What is write-protected: nothing.
What exits: nothing, there is no VMM. What it costs: up to four references per TLB miss. It is the reference
for every slowdown; a scenario's VMs are then disjoint machines, each with all of its memory from the start.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import GUEST_WALK, STORES
from vmcfg.jit import kernel
from vmcfg.metrics.events import Event
from vmcfg.mmu.walks import (
    COMPLETE,
    GUEST_PAGE_FAULT,
    fill_walk_cache,
    page_of,
    probe_walk_caches,
    read_guest_entry,
    slot_in_table,
)
from vmcfg.vmm import machine as at


@kernel
def walk(m, core, vcpu, vpn, is_store, is_quiet):
    """Walk the guest table for one page.

    Returns (how it ended, frame, D of the leaf, guest references, host references, cycles, faulting ppn). A
    quiet walk (for D alone) uses the walk caches and changes nothing in them.
    """
    process = m.vcpu[vcpu, at.PROCESS]
    levels = m.guests.process[process, at.GUEST_LEVELS]
    caches = core * STORES + GUEST_WALK
    level, table = probe_walk_caches(m.stores, caches, levels, process, vpn, is_quiet)
    cycles = np.int64(0)
    if level <= levels:
        m.counters[m.vcpu[vcpu, at.ROW], Event.GUEST_WALK_CACHE_HITS] += 1
        cycles += m.cost[at.WALK_CACHE_HIT]
    else:
        table = m.guests.process[process, at.ROOT_TABLE]
    level -= 1
    refs = np.int64(0)
    while True:
        entry = read_guest_entry(m, slot_in_table(table, vpn, level), level, is_store)
        refs += 1
        cycles += m.cost[at.WALK_REFERENCE]
        if entry & at.PRESENT == 0:
            return GUEST_PAGE_FAULT, 0, 0, refs, 0, cycles, 0
        if level == 1:
            break
        table = entry >> at.CHILD_SHIFT
        if not is_quiet:
            fill_walk_cache(m.stores, caches + level, level, process, vpn, table)
        level -= 1
    gpid = m.guests.vm[m.vcpu[vcpu, at.VM], at.BASE] + page_of(entry)
    is_dirty = np.int64(entry & at.DIRTY != 0)
    return COMPLETE, np.int64(m.host.pmap[gpid]), is_dirty, refs, 0, cycles, 0
