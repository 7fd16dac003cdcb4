"""Shadow page tables as memory: pages of entries, which guest table each one follows, and who maps what.

    entries  i64[pages × 512]   as in a guest's table, but with machine frames: P, W, A, D, frame, child page
    page     i64[pages, field]  what each shadow page is: see the fields below; page 0 stands for none
    of_table i32[guest tables]  the shadow page of a guest's table, where one follows it for all vCPUs
    head     i32[gpids]         reverse map: the first entry that maps a guest page, plus one
    next     i32[pages × 512]   and the next one, plus one: a page shared after a fork has several

The reverse map is there for the one who takes a frame away: every entry that leads to it must go first.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import frame_free, frame_take

# Fields of shadow.page[page, field]. WRITES: emulated ones since it was last used; LAST_WRITTEN: place of the last.
GUEST_TABLE, LEVEL, FRAME, STATE, WRITES, PAGE_VM, LAST_WRITTEN = range(7)
PAGE_FIELDS = 7
OPEN, TRACED, UNSYNCED = range(3)  # STATE: the guest's table may be written freely, is write-protected, is out of sync

NONE = 0
FRESH, HEIGHT = range(2)  # shadow.pool: pages handed out for the first time; height of the stack of those given back


@part
def new_shadow(m, vm, guest_table, level):
    """Take an empty shadow page, and a frame for it; return its number."""
    s = m.shadow
    if s.pool[HEIGHT] > 0:
        s.pool[HEIGHT] -= 1
        page = np.int64(s.given_back[s.pool[HEIGHT]])
    else:
        s.pool[FRESH] += 1
        page = s.pool[FRESH]
    s.page[page, PAGE_VM] = vm
    s.page[page, GUEST_TABLE] = guest_table
    s.page[page, LEVEL] = level
    s.page[page, FRAME] = frame_take(m, at.FRAME_OVERHEAD, vm)
    s.page[page, STATE] = OPEN
    s.page[page, WRITES] = 0
    s.page[page, LAST_WRITTEN] = 0
    return page


@part
def free_shadow(m, page):
    """Empty a shadow page to which no entry leads any more, and give it and its frame back."""
    empty(m, page)
    frame_free(m, m.shadow.page[page, FRAME])
    m.shadow.given_back[m.shadow.pool[HEIGHT]] = page
    m.shadow.pool[HEIGHT] += 1


@part
def free_tree(m, root):
    """Give a whole shadow table back, from its root down."""
    s = m.shadow
    height = 1
    s.stack[0] = root
    while height > 0:
        height -= 1
        page = np.int64(s.stack[height])
        if s.page[page, LEVEL] > 1:
            for place in range(at.TABLE_ENTRIES):
                entry = s.entries[page * at.TABLE_ENTRIES + place]
                if entry & at.PRESENT:
                    s.stack[height] = entry >> at.CHILD_SHIFT
                    height += 1
        free_shadow(m, page)


@part
def empty(m, page):
    """Drop all entries of a shadow page."""
    for place in range(at.TABLE_ENTRIES):
        zap(m, page, place)


@kernel
def zap(m, page, place):
    """Drop an entry of a shadow page, if it is present."""
    slot = page * at.TABLE_ENTRIES + place
    entry = m.shadow.entries[slot]
    if entry & at.PRESENT == 0:
        return
    if m.shadow.page[page, LEVEL] == 1:
        _unlink(m, np.int64(m.host.owner[frame_of(entry)]), slot)
    m.shadow.entries[slot] = 0


@part
def zap_mappers(m, gpid):
    """Drop every entry that leads to a guest page."""
    while m.shadow.head[gpid]:
        slot = np.int64(m.shadow.head[gpid]) - 1
        zap(m, slot // at.TABLE_ENTRIES, slot % at.TABLE_ENTRIES)


@kernel
def set_leaf(m, page, place, gpid, bits):
    """Let an entry of a shadow page of level 1 lead to a backed guest page."""
    zap(m, page, place)
    slot = page * at.TABLE_ENTRIES + place
    mpn = m.host.pmap[gpid] >> at.MPN_SHIFT
    m.shadow.entries[slot] = (mpn << at.PPN_SHIFT) | bits
    m.shadow.next[slot] = m.shadow.head[gpid]
    m.shadow.head[gpid] = slot + 1


@kernel
def set_child(m, page, place, child):
    """Let an entry of a shadow page lead to the shadow page below."""
    frame = m.shadow.page[child, FRAME]
    entry = (child << at.CHILD_SHIFT) | (frame << at.PPN_SHIFT) | at.WRITABLE | at.PRESENT
    m.shadow.entries[page * at.TABLE_ENTRIES + place] = entry


@kernel
def frame_of(entry):
    """Return the machine frame that a shadow entry leads to."""
    return (entry >> at.PPN_SHIFT) & at.PPN_MASK


@kernel
def _unlink(m, gpid, slot):
    """Take an entry out of the chain of those that map a page."""
    s = m.shadow
    following = s.next[slot]
    if s.head[gpid] == slot + 1:
        s.head[gpid] = following
        return
    before = np.int64(s.head[gpid]) - 1
    while s.next[before] != slot + 1:
        before = np.int64(s.next[before]) - 1
    s.next[before] = following
