"""Disks, as what matters of them to memory: one request after the other, each with its latency.

    start   = max(now, free_at)
    free_at = start + (seek, unless the request begins where the last one ended) + ceil(bytes × hz ÷ bandwidth)
    done    = free_at + latency

So a disk is a queue: who asks for more than it carries waits longer and longer, and thrashing hurts. The latency of
one request overlaps with the transfer of the next; a seek does not. Places are pages from the start of the disk.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import HOST, fold
from vmcfg.jit import part
from vmcfg.vmm.machine import HZ

# device[device, field]. HEAD: the place behind the last request; BANDWIDTH in bytes per second.
FREE_AT, HEAD, SEEK, LATENCY, BANDWIDTH = range(5)
READS, WRITES, PAGES_READ, PAGES_WRITTEN, SEEKS, BUSY_CYCLES, QUEUED_CYCLES = range(5, 12)
DEVICE_FIELDS = 12
COUNTED = {
    "reads": READS,
    "writes": WRITES,
    "pages_read": PAGES_READ,
    "pages_written": PAGES_WRITTEN,
    "seeks": SEEKS,
    "busy_cycles": BUSY_CYCLES,
    "queued_cycles": QUEUED_CYCLES,
}
MOST_PAGES = 1 << 18  # of one request, so that bytes × hz fits into 63 bits
PAGE_BYTES = 4096


@part
def request(m, device, now, place, pages, is_write):
    """Ask a disk to read or write `pages` pages from `place` on; return when it is done."""
    d = m.paging.device
    assert 0 < pages <= MOST_PAGES
    start = max(now, d[device, FREE_AT])
    is_seeking = np.int64(d[device, HEAD] != place)
    bandwidth = d[device, BANDWIDTH]
    moving = (pages * PAGE_BYTES * m.cost[HZ] + bandwidth - 1) // bandwidth + is_seeking * d[device, SEEK]
    d[device, FREE_AT] = start + moving
    d[device, HEAD] = place + pages
    d[device, READS + is_write] += 1
    d[device, PAGES_READ + is_write] += pages
    d[device, SEEKS] += is_seeking
    d[device, BUSY_CYCLES] += moving
    d[device, QUEUED_CYCLES] += start - now
    fold(m.digest, HOST, (start << 20) ^ (place << 1) ^ is_write)
    return d[device, FREE_AT] + d[device, LATENCY]
