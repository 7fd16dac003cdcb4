"""What a walk's reference costs: a flat latency, or that of the data cache which holds the entry's line.

With data caches each reference is noted where it is made, under the machine address of the entry: the frame of the
table's page, then the entry's place in it. What all have cost is known at the end of a walk, or of a row of them.
Whether there are data caches is a constant of the loop, so that without them nothing of this is left in it.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.data_caches import PLACES, look_up, note
from vmcfg.jit import kernel, unlikely
from vmcfg.mmu.tally import MOST_REFERENCES, nested_hits_of, refs_of, walk_cache_hits_of
from vmcfg.vmm import machine as at

PAGE_BYTES = 4096
LINES_LOG2 = 6  # of the lines of a page


@kernel
def refer(m, walker, frame, page, level, bits):
    """Say that the entry of `level` for `page` is read, in the table in `frame`; only data caches want to know."""
    if walker.has_data_caches:
        note(m.data_caches, line_of_entry(frame, page, level, bits))


@kernel
def cycles_of(m, walker, tally):
    """Return what walks cost that have counted `tally`; with data caches, without what `look_up_noted` returns."""
    hits = walk_cache_hits_of(tally) * m.cost[at.WALK_CACHE_HIT] + nested_hits_of(tally) * m.cost[at.NESTED_TLB_HIT]
    if walker.has_data_caches:
        return hits
    return hits + refs_of(tally) * m.cost[at.WALK_REFERENCE]


@kernel
def look_up_noted(m, walker, unfinished):
    """Look up all that was noted; return the cycles of (all but the last `unfinished` references, these)."""
    zero = np.int64(0)
    if not walker.has_data_caches:
        return zero, zero
    caches, core, row = m.data_caches, walker.core, walker.row
    end = caches.noted[0]
    caches.noted[0] = 0
    cycles = look_up(caches, core, row, zero, end - unfinished)
    if unlikely(unfinished != 0):
        return cycles, look_up(caches, core, row, end - unfinished, end)
    return cycles, zero


@kernel
def dearest_walk(m, walker):
    """Return more cycles than any walk costs: all that it may do, each time the dearest thing there is.

    With data caches without what its references cost.
    """
    step = max(m.cost[at.WALK_CACHE_HIT], m.cost[at.NESTED_TLB_HIT])
    if not walker.has_data_caches:
        step = max(step, m.cost[at.WALK_REFERENCE])
    return step * MOST_REFERENCES


@kernel
def dearest_noted(m, walker):
    """Return the most cycles that all that is noted can cost when it is looked up."""
    if not walker.has_data_caches:
        return np.int64(0)
    dearest = m.data_caches.latency[0]
    for found in range(1, PLACES):
        dearest = max(dearest, m.data_caches.latency[found])
    return m.data_caches.noted[0] * dearest


@kernel
def entry_address(frame, page, level, bits):
    """Return the machine address of the entry of `level` for a page, in the table that lies in `frame`.

    A table fills a page: 2^bits entries, 512 of 8 bytes or 1,024 of 4.
    """
    index = (page >> (bits * (level - 1))) & ((1 << bits) - 1)
    return frame * PAGE_BYTES + index * (PAGE_BYTES >> bits)


@kernel
def line_of_entry(frame, page, level, bits):
    """Return the number of the line that holds that entry: `entry_address` in lines, by fewer instructions."""
    index = (page >> (bits * (level - 1))) & ((1 << bits) - 1)
    return (frame << LINES_LOG2) | (index >> (bits - LINES_LOG2))


@kernel
def frame_of_table(m, walker, table):
    """Return the frame of a guest table's page."""
    return m.host.pmap[walker.base + m.guests.ppns[table]] >> at.MPN_SHIFT
