"""Large host pages: 2 MiB or 1 GiB of a guest's memory behind one entry of the EPT.

A host asks for a size, for pages of guest data and for those of guest tables apart, and the VMM tries at each
violation: the whole aligned block is backed at once, if all of it is guest memory that has no frame yet, if a block of
frames is free, and if the frames that an access may need besides remain. Otherwise it tries the next smaller size.
That is what KVM does with huge pages, and it never fails where pages of 4 KiB would not.

The pmap stays as it is, an entry for each 4 KiB, so that whoever asks for a page's frame need not know of any of this.
Only A and D are the large page's own, and stand in its entry of `host.ept`. A large page that loses a part is split:
the tables below it come into being, and everything in them is as it was for all.

Under shadow paging no EPT is walked; there `host.ept` only says which blocks are whole, and which are in pieces.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import walk_key
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Sized
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import block_take, frame_take, has_block, pages_below

LARGEST = 3  # the level that maps 1 GiB
MARKS = at.HOST_ACCESSED | at.HOST_DIRTY


@kernel
def asked_level(m, vm, is_table):
    """Return the level of the host page that a VM's data, or its tables, are to have."""
    return m.guests.vm[vm, at.HOST_TABLE_PAGE] if is_table else m.guests.vm[vm, at.HOST_PAGE]


@kernel
def fitting_level(m, vm, ppn):
    """Return the level of the largest host page, up to the one asked for, that an unbacked guest page can get now."""
    level = asked_level(m, vm, m.host.pmap[m.guests.vm[vm, at.BASE] + ppn] & at.IS_TABLE)
    while level > 1 and not _fits(m, vm, ppn, level):
        level -= 1
    return level


@part
def level_behind(m, vm, ppn):
    """Return the level of the host page behind a backed guest page."""
    for level in range(m.guests.vm[vm, at.HOST_LARGEST], 1, -1):
        if m.host.ept[entry_place(m, vm, ppn, level)] < 0:
            return level
    return 1


@part
def back_large(m, vm, ppn, level):
    """Back the whole block around an unbacked guest page by one large host page; return its number of frames."""
    pages = pages_below(level)
    first = m.guests.vm[vm, at.BASE] + ppn // pages * pages
    mpn = block_take(m, level, at.FRAME_PRIVATE, first)
    for number in range(pages):
        kept = m.host.pmap[first + number] & at.IS_TABLE
        m.host.pmap[first + number] = ((mpn + number) << at.MPN_SHIFT) | kept | at.PRIVATE
    m.host.ept[entry_place(m, vm, ppn, level)] = at.LARGE
    return pages


@part
def split_large(m, vm, ppn):
    """Split the large page around a guest page, if there is one, so that this page has an entry of its own."""
    for level in range(m.guests.vm[vm, at.HOST_LARGEST], 1, -1):
        place = entry_place(m, vm, ppn, level)
        marks = m.host.ept[place] & MARKS
        if m.host.ept[place] < 0:
            m.host.ept[place] = _table_of_parts(m, vm)
            if level == 2:
                _mark_pages(m, vm, ppn, marks)
            else:
                _mark_entries(m, vm, ppn, level - 1, marks)


@kernel
def note_pieces(m, vm, ppn, level):
    """Without an EPT: note that a page has a frame, so that no block around it of more than `level` can become one."""
    for above in range(m.guests.vm[vm, at.HOST_LARGEST], level, -1):
        m.host.ept[entry_place(m, vm, ppn, above)] = at.IN_PIECES


@part
def count_backing(m, vcpu, frames, asked):
    """Count a violation by the size of the host page that answered it, which the frames taken tell."""
    if m.cost[at.HAS_LARGE_PAGES]:
        row = m.vcpu[vcpu, at.ROW]
        level = 1 + (frames >= pages_below(2)) + (frames >= pages_below(3))
        m.sizes[row, Sized.BACKED_4K + level - 1] += 1
        m.sizes[row, Sized.BACKED_SMALLER] += level < asked


@kernel
def _fits(m, vm, ppn, level):
    pages = pages_below(level)
    is_guest_memory = (ppn // pages + 1) * pages <= m.guests.vm[vm, at.PAGES]
    is_enough = m.host.counts[at.FRAME_FREE] >= m.host.counts[at.RESERVE] + pages
    return is_guest_memory and is_enough and m.host.ept[entry_place(m, vm, ppn, level)] == 0 and has_block(m, level)


@kernel
def entry_place(m, vm, ppn, level):
    """Return where the EPT's entry of `level` for a guest page lies in `host.ept`."""
    return m.guests.vm[vm, at.EPT + level] + walk_key(ppn, level)


@kernel
def _table_of_parts(m, vm):
    """Return the entry that stands for a block in pieces: it leads to a table, where there are tables."""
    if m.guests.vm[vm, at.HOST_LEVELS] == 0:
        return np.int64(at.IN_PIECES)
    return frame_take(m, at.FRAME_OVERHEAD, vm) + 1


@kernel
def _mark_pages(m, vm, ppn, marks):
    """Give the A and D of a split page of 2 MiB to its pages."""
    first = m.guests.vm[vm, at.BASE] + ppn // at.TABLE_ENTRIES * at.TABLE_ENTRIES
    for gpid in range(first, first + at.TABLE_ENTRIES):
        m.host.pmap[gpid] |= marks


@kernel
def _mark_entries(m, vm, ppn, level, marks):
    """Give the A and D of a split page to the 512 large pages of `level` that it becomes."""
    first = entry_place(m, vm, ppn // pages_below(level + 1) * pages_below(level + 1), level)
    for place in range(first, first + at.TABLE_ENTRIES):
        m.host.ept[place] = at.LARGE | marks
