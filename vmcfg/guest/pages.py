"""The guest's free pages: ascending PPNs after its kernel, then the pages that were freed, last in first out.

Where the host backs guest tables by pages of another size than data, the guest keeps the two apart: tables come from
aligned ranges of the larger size, from the top of its memory downwards, as many as are needed. When one kind has used
up its own, it takes from the other's; so no page is ever lost to this.

A large page of the guest takes an aligned block: one that a large page gave back whole, else pages that nobody has used
yet. Those passed over on the way to it serve as single pages. Single pages are taken first, then a block is broken up,
then come unused ones; pages freed one by one are not put together to blocks again.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below


@kernel
def page_take(m, vm):
    """Take a free guest page and return its PPN. The caller has made sure that there is one."""
    guest = m.guests.vm
    guest[vm, at.GUEST_FREE] -= 1
    if guest[vm, at.GUEST_TOP] > 0:
        guest[vm, at.GUEST_TOP] -= 1
        guest[vm, at.ZEROED] = min(guest[vm, at.ZEROED], guest[vm, at.GUEST_TOP])
        return np.int64(m.guests.free_list[guest[vm, at.BASE] + guest[vm, at.GUEST_TOP]])
    if guest[vm, at.GUEST_BLOCK_TOP] > 0:
        return _break_block(m, vm)
    if guest[vm, at.GUEST_FRESH] == guest[vm, at.CEILING]:
        return _next_of_range(guest, vm)
    ppn = guest[vm, at.GUEST_FRESH]
    guest[vm, at.GUEST_FRESH] += 1
    return ppn


@part
def unbacked_among_next(m, vm, pages):
    """Count those of the next pages to be taken that have no frame yet: one that was freed keeps its own.

    Where any page may be large, tables or blocks come from elsewhere: then all that are taken may be without.
    """
    guest = m.guests.vm
    if m.cost[at.HAS_LARGE_PAGES]:
        return _unbacked_pages(m, vm, pages)
    base, top, fresh = guest[vm, at.BASE], guest[vm, at.GUEST_TOP], guest[vm, at.GUEST_FRESH]
    unbacked = np.int64(0)
    for number in range(pages):
        ppn = m.guests.free_list[base + top - 1 - number] if number < top else fresh + number - top
        unbacked += m.host.pmap[base + ppn] & at.KIND_MASK != at.PRIVATE
    return unbacked


@kernel
def table_page_take(m, vm):
    """Take a free guest page for a table and return its PPN. The caller has made sure that there is one."""
    guest = m.guests.vm
    if guest[vm, at.TABLE_BLOCK] and guest[vm, at.TABLE_NEXT] == guest[vm, at.TABLE_END]:
        _begin_range(guest, vm)
    if guest[vm, at.TABLE_NEXT] == guest[vm, at.TABLE_END]:
        return page_take(m, vm)
    guest[vm, at.GUEST_FREE] -= 1
    return _next_of_range(guest, vm)


@kernel
def has_block(m, vm, level):
    """Tell whether a page of `level`, 2 for 2 MiB or 3 for 1 GiB, can be taken."""
    if level == at.BLOCK_LEVEL and m.guests.vm[vm, at.GUEST_BLOCK_TOP] > 0:
        return True
    return _next_block(m.guests.vm, vm, level) + pages_below(level) <= m.guests.vm[vm, at.CEILING]


@part
def block_take(m, vm, level):
    """Take an aligned block of free pages and return its first PPN. The caller has made sure that there is one.

    What is passed over to get to it goes on the stack, so that the lowest is taken first.
    """
    guest = m.guests.vm
    guest[vm, at.GUEST_FREE] -= pages_below(level)
    if level == at.BLOCK_LEVEL and guest[vm, at.GUEST_BLOCK_TOP] > 0:
        return _block_pop(m, vm)
    first = _next_block(guest, vm, level)
    _keep_pages(m, vm, guest[vm, at.GUEST_FRESH], first)
    guest[vm, at.GUEST_FRESH] = first + pages_below(level)
    return first


@kernel
def block_free(m, vm, ppn, level):
    """Give a whole large page back, as blocks of 2 MiB of which the lowest is taken first; its frames stay."""
    guest = m.guests.vm
    guest[vm, at.GUEST_FREE] += pages_below(level)
    for first in range(ppn + pages_below(level) - at.TABLE_ENTRIES, ppn - 1, -at.TABLE_ENTRIES):
        m.guests.blocks[guest[vm, at.BASE] // at.TABLE_ENTRIES + guest[vm, at.GUEST_BLOCK_TOP]] = first
        guest[vm, at.GUEST_BLOCK_TOP] += 1


@kernel
def page_free(m, vm, ppn):
    """Give a guest page back to its guest's free list; its frame stays, the VMM is not told."""
    guest = m.guests.vm
    m.guests.free_list[guest[vm, at.BASE] + guest[vm, at.GUEST_TOP]] = ppn
    guest[vm, at.GUEST_TOP] += 1
    guest[vm, at.GUEST_FREE] += 1


@kernel
def _block_pop(m, vm):
    guest = m.guests.vm
    guest[vm, at.GUEST_BLOCK_TOP] -= 1
    return np.int64(m.guests.blocks[guest[vm, at.BASE] // at.TABLE_ENTRIES + guest[vm, at.GUEST_BLOCK_TOP]])


@kernel
def _break_block(m, vm):
    """Return the first page of a free block, whose others become single free pages."""
    first = _block_pop(m, vm)
    _keep_pages(m, vm, first + 1, first + at.TABLE_ENTRIES)
    return first


@kernel
def _keep_pages(m, vm, first, end):
    """Put free pages on the stack, so that the lowest is taken first."""
    guest = m.guests.vm
    for ppn in range(end - 1, first - 1, -1):
        m.guests.free_list[guest[vm, at.BASE] + guest[vm, at.GUEST_TOP]] = ppn
        guest[vm, at.GUEST_TOP] += 1


@part
def _unbacked_pages(m, vm, most):
    """Count the guest's pages, used or free, that have no frame yet, or stop at `most`."""
    base = m.guests.vm[vm, at.BASE]
    unbacked = np.int64(0)
    for gpid in range(base, base + m.guests.vm[vm, at.PAGES]):
        if unbacked >= most:
            break
        unbacked += m.host.pmap[gpid] & at.KIND_MASK != at.PRIVATE
    return unbacked


@kernel
def _next_block(guest, vm, level):
    return (guest[vm, at.GUEST_FRESH] + pages_below(level) - 1) // pages_below(level) * pages_below(level)


@kernel
def _begin_range(guest, vm):
    """Set the highest aligned range that nobody has used yet apart for tables, if there is one.

    The first takes along what lies between it and the end of memory.
    """
    block = guest[vm, at.TABLE_BLOCK]
    first = (guest[vm, at.CEILING] // block - 1) * block
    if first >= guest[vm, at.GUEST_FRESH]:
        guest[vm, at.TABLE_NEXT] = first
        guest[vm, at.TABLE_END] = guest[vm, at.CEILING]
        guest[vm, at.CEILING] = first


@kernel
def _next_of_range(guest, vm):
    guest[vm, at.TABLE_NEXT] += 1
    return guest[vm, at.TABLE_NEXT] - 1
