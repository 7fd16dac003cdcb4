"""The compression cache: memory in which the host keeps pages that it has paged out, where they are small enough.

A page that is to leave memory is compressed first. One that fits 2 KiB is kept, in a quarter of a frame if it fits
1 KiB and in a half otherwise; one that does not is written to disk, and compressing it was in vain. A page that is
needed again costs its decompression and no disk. Each VM has a cache of its own, which may hold so much of the VM's
size. Where that is full, the oldest entry makes room: it is decompressed and written to disk. So the cache is a small,
slow level of memory between frames and disk, and its frames are taken from the first: it gains where pages compress
well and disks are slow, and loses where what it holds would have been worth more as memory. ESX has one of this shape.

Why halves and quarters: an entry then never crosses a frame, and a page's place says its size. Within a frame, two free
quarters side by side are a half again, and two free halves end the frame, which goes back to the host. What is free in
between is the price: frames × 4 - quarters in use. A new frame is the one of the page that needs it, so that
compressing never needs memory to free memory.

How well pages compress is asked of the workload: a VM says which share of its pages fits a quarter, and which a half;
which pages these are is drawn once, by page. The machine keeps no contents that could be compressed.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.reclaim.lists import append, end_of, oldest, take_out
from vmcfg.reclaim.replacement import enter, leave
from vmcfg.rng import bounded, word
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import frame_free, frame_take
from vmcfg.vmm.paging import note_backed

# vm[vm, field]. FIRST: of its places for frames; LIMIT: how many frames its cache may hold; HELD: it does; FRESH:
# places that had one; SPARE: height of the stack of those without one now. QUARTER, HALF: of a million pages, those
# that fit a quarter of a frame, and those that fit a half.
FIRST, LIMIT, HELD, FRESH, SPARE, QUARTER, HALF = range(7)
FIELDS = 7
QUARTERS = 4  # of a frame
MILLION = 1_000_000
FREE_QUARTERS, FREE_HALVES = range(2)  # lists of places


@kernel
def is_compressed(m, gpid):
    """Tell whether a guest page lies in its VM's compression cache."""
    return m.host.pmap[gpid] & at.KIND_MASK == at.COMPRESSED


@part
def quarters_for(m, vcpu, vm, gpid):
    """Compress a page, at the expense of a vCPU's exit; return the quarters of a frame that it takes, 0 if too many."""
    m.vcpu[vcpu, at.SPENT] += m.cost[at.COMPRESS_PAGE]
    ppn = np.uint64(gpid - m.guests.vm[vm, at.BASE])
    drawn = np.int64(bounded(word(m.compression.streams[vm], ppn), np.uint64(MILLION)))
    limits = m.compression.vm
    if drawn < limits[vm, QUARTER]:
        return np.int64(1)
    return np.int64(2) if drawn < limits[vm, QUARTER] + limits[vm, HALF] else np.int64(0)


@kernel
def has_place(m, vm, quarters):
    """Tell whether a VM's cache has room for an entry."""
    limits = m.compression.vm
    return limits[vm, HELD] < limits[vm, LIMIT] or _has_free(m, vm, FREE_HALVES) or (
        quarters == 1 and _has_free(m, vm, FREE_QUARTERS)
    )


@part
def keep(m, vm, gpid, quarters):
    """Put a private page, of which no mapping is left, into its VM's cache, which has room for it."""
    frame_free(m, m.host.pmap[gpid] >> at.MPN_SHIFT)
    place = _take_quarter(m, vm) if quarters == 1 else _take_half(m, vm)
    for quarter in range(place, place + quarters):
        m.compression.quarters[quarter] = gpid + 1
    m.host.pmap[gpid] = (place << at.MPN_SHIFT) | at.COMPRESSED
    enter(m.compression.entries, vm, gpid, np.int64(0))


@part
def drop(m, vm, gpid):
    """Take a page out of its VM's cache; it is nowhere then."""
    place = m.host.pmap[gpid] >> at.MPN_SHIFT
    leave(m.compression.entries, vm, gpid)
    m.host.pmap[gpid] &= at.IS_TABLE
    m.compression.quarters[place] = 0
    if place % 2 == 0 and m.compression.quarters[place + 1] == gpid + 1:
        m.compression.quarters[place + 1] = 0
        _free_half(m, vm, place)
    elif m.compression.quarters[place ^ 1] == 0:
        _take_from(m, vm, FREE_QUARTERS, place ^ 1)
        _free_half(m, vm, place & ~1)
    else:
        append(m.compression.free, vm, FREE_QUARTERS, place + 1, np.int64(0))


@part
def decompress(m, vcpu, vm, ppn, is_overwritten):
    """Give a page that lies in the cache a frame again; what `is_overwritten` need not be decompressed for that."""
    gpid = m.guests.vm[vm, at.BASE] + ppn
    row = m.vcpu[vcpu, at.ROW]
    drop(m, vm, gpid)
    if is_overwritten:
        m.counters[row, Event.COMPRESSED_DROPPED] += 1
    else:
        m.counters[row, Event.DECOMPRESSIONS] += 1
        m.vcpu[vcpu, at.SPENT] += m.cost[at.DECOMPRESS_PAGE]
    mpn = frame_take(m, at.FRAME_PRIVATE, gpid)
    m.host.pmap[gpid] |= (mpn << at.MPN_SHIFT) | at.PRIVATE
    note_backed(m, vm, gpid)


@kernel
def oldest_entry(m, vm):
    """Return the page that has been in a VM's cache longest, -1 if it is empty."""
    node = oldest(m.compression.entries, vm, 0)
    return np.int64(-1) if node == end_of(m.compression.entries, vm, 0) else node - 1


@kernel
def _has_free(m, vm, which):
    return oldest(m.compression.free, vm, which) != end_of(m.compression.free, vm, which)


@kernel
def _take_quarter(m, vm):
    """Take the quarter that has been free longest, else part of a half."""
    if _has_free(m, vm, FREE_QUARTERS):
        return _take_oldest(m, vm, FREE_QUARTERS)
    place = _take_half(m, vm)
    append(m.compression.free, vm, FREE_QUARTERS, place + 2, np.int64(0))
    return place


@kernel
def _take_half(m, vm):
    """Take the half that has been free longest, else one of a new frame, which the caller has made sure of."""
    if _has_free(m, vm, FREE_HALVES):
        return _take_oldest(m, vm, FREE_HALVES)
    c = m.compression
    if c.vm[vm, SPARE] > 0:
        c.vm[vm, SPARE] -= 1
        number = np.int64(c.spare[c.vm[vm, FIRST] + c.vm[vm, SPARE]])
    else:
        number = c.vm[vm, FIRST] + c.vm[vm, FRESH]
        c.vm[vm, FRESH] += 1
    c.vm[vm, HELD] += 1
    c.frames[number] = frame_take(m, at.FRAME_OVERHEAD, vm) + 1
    append(c.free, vm, FREE_HALVES, number * QUARTERS + 3, np.int64(0))
    return number * QUARTERS


@kernel
def _free_half(m, vm, place):
    """Let a half of a frame be free; the frame goes back if the other one is, too."""
    c = m.compression
    if c.quarters[place ^ 2] or c.quarters[(place ^ 2) + 1]:
        append(c.free, vm, FREE_HALVES, place + 1, np.int64(0))
        return
    _take_from(m, vm, FREE_HALVES, place ^ 2)
    number = place // QUARTERS
    frame_free(m, np.int64(c.frames[number]) - 1)
    c.frames[number] = 0
    c.spare[c.vm[vm, FIRST] + c.vm[vm, SPARE]] = number
    c.vm[vm, SPARE] += 1
    c.vm[vm, HELD] -= 1


@kernel
def _take_oldest(m, vm, which):
    """Take a list's oldest place out of it and return it."""
    node = oldest(m.compression.free, vm, which)
    take_out(m.compression.free, vm, which, node)
    return node - 1


@kernel
def _take_from(m, vm, which, place):
    take_out(m.compression.free, vm, which, place + 1)
