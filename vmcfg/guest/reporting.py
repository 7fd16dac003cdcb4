"""Free-page reporting: a guest that tells its host which of its memory is free, so that the host need not keep it.

Why beside a balloon: nobody has to ask. Whatever a guest frees in large pieces comes back to the host by itself, and
the guest need not be asked to give it up, for it may use the pages again at any time: they are as if never touched.

Linux's rule: blocks of 2 MiB that are free as a whole, up to 32 at a time, at least two seconds apart, and only while
free memory is above the low watermark and as much as a whole report again. A block is skipped until it has been used;
what has never been used has nothing to report. Here blocks are found by counting the free pages of each.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import by_reference, entry
from vmcfg.metrics.events import Event, Exit
from vmcfg.vmm import machine as at
from vmcfg.vmm.balloon import drop_slot
from vmcfg.vmm.compression import drop, is_compressed
from vmcfg.vmm.paging import is_swapped
from vmcfg.vmm.verbs import invalidate, is_backed, unback, vm_exit

BLOCK_PAGES = at.TABLE_ENTRIES  # 2 MiB


def blocks_to_report(machine: at.Machine, vm: int, most: int) -> np.ndarray:
    """Return the first pages of up to `most` blocks of a VM that are free as a whole and have been used, in order."""
    guest = machine.guests.vm[vm]
    if guest[at.GUEST_FREE] <= guest[at.GUEST_MIN] + most * BLOCK_PAGES:
        return np.zeros(0, np.int64)
    base, blocks = int(guest[at.BASE]), int(guest[at.PAGES]) // BLOCK_PAGES
    is_free = np.zeros(blocks * BLOCK_PAGES, np.bool_)
    freed = machine.guests.free_list[base : base + int(guest[at.GUEST_TOP])]
    is_free[freed[freed < len(is_free)]] = True
    is_free[guest[at.GUEST_FRESH] : guest[at.CEILING]] = True
    is_used = machine.host.pmap[base : base + len(is_free)] & at.KIND_MASK != at.UNBACKED
    by_block = is_free.reshape(blocks, BLOCK_PAGES).all(1) & is_used.reshape(blocks, BLOCK_PAGES).any(1)
    return np.flatnonzero(by_block)[:most] * BLOCK_PAGES


@entry
def report(machine, vm, firsts):
    """Let the host take the frames and slots behind free blocks that begin at some pages, with one flush for all."""
    m = by_reference(machine)
    vcpu = m.guests.vm[vm, at.FIRST_VCPU]
    core, row = vcpu % m.sched[at.CORES], m.vcpu[vcpu, at.ROW]
    won = np.int64(0)
    for number in range(firsts.shape[0]):
        for ppn in range(firsts[number], firsts[number] + BLOCK_PAGES):
            gpid = m.guests.vm[vm, at.BASE] + ppn
            if is_backed(m, vm, ppn):
                unback(m, vm, ppn)
                won += 1
            elif is_swapped(m, gpid):
                drop_slot(m, row, gpid)
            elif is_compressed(m, gpid):
                m.counters[row, Event.COMPRESSED_DROPPED] += 1
                drop(m, vm, gpid)
    m.counters[row, Event.REPORTED_PAGES] += firsts.shape[0] * BLOCK_PAGES
    m.counters[row, Event.REPORT_FRAMES_WON] += won
    flushing = invalidate(m, vm) if won else np.int64(0)
    m.core[core, at.CLOCK] += vm_exit(m, core, vcpu, Exit.FREE_PAGE_REPORT, flushing)
