"""Machine frames: taken and given back, alone or in blocks, and nothing else.

Frames come as ascending MPNs; frames that were given back are used again first, last in first out. Every frame
has one kind at any time, and the counts of the kinds add up to the host's memory.

A large page needs a block of neighbouring frames that begins at a multiple of its size. Blocks come from the frames
that nobody has used yet. What must be passed over to get to such a multiple is kept, in blocks of 2 MiB as far as
possible, and whoever takes less takes it from there: single frames first, then a block broken up, then new ones. So
less than one largest block is ever passed over. Frames given back one by one are not put together to blocks again.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import HOST, fold
from vmcfg.hardware.core import TABLE_BITS
from vmcfg.jit import kernel, part
from vmcfg.vmm.machine import BLOCK_LEVEL, BLOCK_TOP, FRAME_FREE, FRAME_RESERVED, FRESH, TABLE_ENTRIES, TOP, TOTAL


@kernel
def frame_take(m, kind, owner):
    """Take a free frame for `owner` and return its MPN. The caller has made sure that there is one."""
    host = m.host
    if host.counts[TOP] > 0:
        host.counts[TOP] -= 1
        mpn = np.int64(host.free_list[host.counts[TOP]])
    elif host.counts[BLOCK_TOP] > 0:
        host.counts[BLOCK_TOP] -= 1
        mpn = np.int64(host.blocks[host.counts[BLOCK_TOP]])
        _keep_frames(m, mpn + 1, mpn + TABLE_ENTRIES)
    else:
        mpn = host.counts[FRESH]
        host.counts[FRESH] += 1
    _own(m, mpn, kind, owner)
    fold(m.digest, HOST, (owner << 32) | mpn)
    return mpn


@kernel
def has_block(m, level):
    """Tell whether there is a free block for a page that an entry of `level` maps, 2 for 2 MiB or 3 for 1 GiB."""
    if level == BLOCK_LEVEL and m.host.counts[BLOCK_TOP] > 0:
        return True
    return _next_block(m, pages_below(level)) + pages_below(level) <= m.host.counts[TOTAL]


@part
def block_take(m, level, kind, owner):
    """Take a free block, whose frames get the owners from `owner` on; return its first MPN.

    The caller has made sure that there is one.
    """
    host = m.host
    pages = pages_below(level)
    if level == BLOCK_LEVEL and host.counts[BLOCK_TOP] > 0:
        host.counts[BLOCK_TOP] -= 1
        mpn = np.int64(host.blocks[host.counts[BLOCK_TOP]])
    else:
        mpn = _next_block(m, pages)
        _pass_over(m, mpn)
        host.counts[FRESH] = mpn + pages
    for number in range(pages):
        _own(m, mpn + number, kind, owner + number)
    fold(m.digest, HOST, (owner << 32) | mpn)
    return mpn


@kernel
def pages_below(level):
    """Return how many pages of 4 KiB lie below a table entry of `level`."""
    return np.int64(1) << (TABLE_BITS * (level - 1))


@kernel
def frame_free(m, mpn):
    """Give a frame back whose last mapping is gone."""
    host = m.host
    host.counts[np.int64(host.kind[mpn])] -= 1
    host.counts[FRAME_FREE] += 1
    host.kind[mpn] = FRAME_FREE
    host.owner[mpn] = 0
    host.free_list[host.counts[TOP]] = mpn
    host.counts[TOP] += 1
    fold(m.digest, HOST, ~mpn)


@kernel
def frame_reserve(m, mpn):
    """Set a frame aside whose last mapping is gone, until what is in it has been written."""
    host = m.host
    host.counts[np.int64(host.kind[mpn])] -= 1
    host.counts[FRAME_RESERVED] += 1
    host.kind[mpn] = FRAME_RESERVED
    host.owner[mpn] = 0


@kernel
def _own(m, mpn, kind, owner):
    host = m.host
    assert host.counts[FRAME_FREE] > 0
    host.counts[FRAME_FREE] -= 1
    host.counts[kind] += 1
    host.kind[mpn] = kind
    host.owner[mpn] = owner


@kernel
def _next_block(m, pages):
    """Return where the next block of so many unused frames begins, if there are that many."""
    return (m.host.counts[FRESH] + pages - 1) // pages * pages


@kernel
def _pass_over(m, end):
    """Keep the unused frames before `end`, which begins a block, for those who take less."""
    first = m.host.counts[FRESH]
    aligned = min(end, _next_block(m, TABLE_ENTRIES))
    _keep_frames(m, first, aligned)
    for block in range(end - TABLE_ENTRIES, aligned - 1, -TABLE_ENTRIES):
        m.host.blocks[m.host.counts[BLOCK_TOP]] = block
        m.host.counts[BLOCK_TOP] += 1


@kernel
def _keep_frames(m, first, end):
    """Put free frames on the stack, so that the lowest is taken first."""
    for mpn in range(end - 1, first - 1, -1):
        m.host.free_list[m.host.counts[TOP]] = mpn
        m.host.counts[TOP] += 1
