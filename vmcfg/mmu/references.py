"""What a walk's reference costs: a flat latency, or that of the data cache which holds the entry's line.

With data caches each reference is looked up where it is made, under the machine address of the entry: the frame of the
table's page, then the entry's place in it.
Whether there are data caches is a constant of the loop, so that without them nothing of this is left in it.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import TABLE_BITS, walk_key
from vmcfg.hardware.data_caches import prefetch_line, refer
from vmcfg.jit import kernel
from vmcfg.vmm import machine as at

PAGE_BYTES = 4096
LINES_LOG2 = 6  # of the lines of a page


@kernel
def reference_cycles(m, walker, frame, page, level, bits):
    """Return what it costs to read the entry of `level` for `page` in the table in `frame`; data caches count it."""
    if not walker.has_data_caches:
        return m.cost[at.WALK_REFERENCE]
    found = refer(m.data_caches, walker.core, line_of_entry(frame, page, level, bits))
    m.data_caches.counts[walker.row, found] += 1
    return m.data_caches.latency[found]


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


@kernel
def prefetch_lines(m, walker, slot, ppn):
    """Ask for the sets of the last level in which a guest's leaf entry and the host's for its page are looked up.

    The slot may be left from another VM of the host, whose pages this one need not have.
    """
    if not walker.has_data_caches:
        return
    table = slot >> TABLE_BITS
    pages = m.guests.vm[walker.vm, at.PAGES]
    if m.guests.ppns[table] >= pages or ppn >= pages:
        return
    prefetch_line(m.data_caches, line_of_entry(frame_of_table(m, walker, table), slot, 1, TABLE_BITS))
    if walker.host_levels > 1:
        frame = np.int64(m.host.ept[m.guests.vm[walker.vm, at.EPT + 2] + walk_key(ppn, 2)]) - 1
        if frame >= 0:  # not a large page
            prefetch_line(m.data_caches, line_of_entry(frame, ppn, 1, TABLE_BITS))
