"""Shadow page tables as memory: pages of entries, which guest table each one follows, and who maps what.

    entries  i64[pages × 512]   as in a guest's table, but with machine frames: P, W, A, D, LARGE, frame, child page
    page     i64[pages, field]  what each shadow page is: see the fields below; page 0 stands for none
    of_table i32[guest tables]  the shadow page of a guest's table, where one follows it for all vCPUs
    head     i32[gpids]         reverse map: the first entry that maps a guest page, plus one
    next     i32[pages × 512]   and the next one, plus one: a page shared after a fork has several

The reverse map is there for the one who takes a frame away: every entry that leads to it must go first. A large entry
stands in the chain of the first page that it maps.

A large page of the guest on smaller host pages has *pieces*: a shadow page that follows no table, but one entry of one
(KVM: a direct shadow page). It belongs to the shadow of that entry, and goes with it.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import flush_walk_caches, walk_key
from vmcfg.jit import kernel, part
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import frame_free, frame_take, pages_below

# Fields of shadow.page[page, field]. WRITES: emulated ones since it was last used; LAST_WRITTEN: place of the last.
# LEAF_LEVEL: of the guest's entries that its own stand for, its LEVEL; above that in pieces of a large page.
GUEST_TABLE, LEVEL, FRAME, STATE, WRITES, PAGE_VM, LAST_WRITTEN, LEAF_LEVEL = range(8)
PAGE_FIELDS = 8
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
    s.page[page, LEVEL] = s.page[page, LEAF_LEVEL] = level
    s.page[page, FRAME] = frame_take(m, at.FRAME_OVERHEAD, vm)
    s.page[page, STATE] = OPEN
    s.page[page, WRITES] = 0
    s.page[page, LAST_WRITTEN] = 0
    return page


@part
def new_pieces(m, page, place):
    """Let an entry of a shadow page lead to pieces of the large page that it stands for; return their shadow page."""
    s = m.shadow
    pieces = new_shadow(m, s.page[page, PAGE_VM], s.page[page, GUEST_TABLE], s.page[page, LEVEL] - 1)
    s.page[pieces, LEAF_LEVEL] = s.page[page, LEAF_LEVEL]
    set_child(m, page, place, pieces)
    return pieces


@kernel
def is_of_pieces(m, page):
    """Tell whether a shadow page has pieces of a large page, and follows no table; page 0 does not."""
    return m.shadow.page[page, LEAF_LEVEL] > m.shadow.page[page, LEVEL]


@part
def free_shadow(m, page):
    """Empty a shadow page to which no entry leads any more, and give it and its frame back."""
    empty(m, page)
    _give_back(m, page)


@part
def free_tree(m, root):
    """Give a whole shadow table back, from its root down."""
    s = m.shadow
    height = 1
    s.stack[0] = root
    while height > 0:
        height -= 1
        page = np.int64(s.stack[height])
        for place in range(at.TABLE_ENTRIES):
            child = s.entries[page * at.TABLE_ENTRIES + place] >> at.CHILD_SHIFT
            zap(m, page, place)
            if child:
                s.stack[height] = child
                height += 1
        _give_back(m, page)


@part
def empty(m, page):
    """Drop all entries of a shadow page."""
    for place in range(at.TABLE_ENTRIES):
        cut(m, page, place)


@part
def cut(m, page, place):
    """Drop an entry of a shadow page, if it is present, and the pieces of a large page that it leads to.

    Walk caches know the way to pieces, and no guest would flush it for that: all cores do.
    """
    child = m.shadow.entries[page * at.TABLE_ENTRIES + place] >> at.CHILD_SHIFT
    zap(m, page, place)
    if is_of_pieces(m, child):
        free_tree(m, child)
        _forget_ways(m, m.shadow.page[page, PAGE_VM])


@kernel
def zap(m, page, place):
    """Drop an entry of a shadow page, if it is present; what it leads to stays."""
    slot = page * at.TABLE_ENTRIES + place
    entry = m.shadow.entries[slot]
    if entry & at.PRESENT == 0:
        return
    if entry >> at.CHILD_SHIFT == NONE:
        _unlink(m, np.int64(m.host.owner[frame_of(entry)]), slot)
    m.shadow.entries[slot] = 0


@part
def zap_mappers(m, vm, ppn):
    """Drop every entry that maps a guest page, alone or with its neighbours."""
    for level in range(1, m.guests.vm[vm, at.HOST_LARGEST] + 1):
        following = np.int64(m.shadow.head[m.guests.vm[vm, at.BASE] + (ppn & -pages_below(level))])
        while following:
            slot = following - 1
            following = np.int64(m.shadow.next[slot])
            if m.shadow.page[slot // at.TABLE_ENTRIES, LEVEL] >= level:
                zap(m, slot // at.TABLE_ENTRIES, slot % at.TABLE_ENTRIES)


@kernel
def set_leaf(m, page, place, gpid, bits):
    """Let an entry of a shadow page lead to a backed guest page, with LARGE in `bits` to the first of a large one."""
    zap(m, page, place)
    slot = page * at.TABLE_ENTRIES + place
    mpn = m.host.pmap[gpid] >> at.MPN_SHIFT
    m.shadow.entries[slot] = (mpn << at.PPN_SHIFT) | bits
    if m.shadow.next[slot] != m.shadow.head[gpid]:  # else not touched: mostly a page has one mapper, and this is 0
        m.shadow.next[slot] = m.shadow.head[gpid]
    m.shadow.head[gpid] = slot + 1


@kernel
def set_child(m, page, place, child):
    """Let an entry of a shadow page lead to the shadow page below."""
    frame = m.shadow.page[child, FRAME]
    entry = (child << at.CHILD_SHIFT) | (frame << at.PPN_SHIFT) | at.WRITABLE | at.PRESENT
    m.shadow.entries[page * at.TABLE_ENTRIES + place] = entry


@kernel
def place_of(vpn, level):
    """Return the place of a page's entry in a shadow page of `level`."""
    return walk_key(vpn, level) % at.TABLE_ENTRIES


@kernel
def frame_of(entry):
    """Return the machine frame that a shadow entry leads to."""
    return (entry >> at.PPN_SHIFT) & at.PPN_MASK


@kernel
def _give_back(m, page):
    frame_free(m, m.shadow.page[page, FRAME])
    m.shadow.given_back[m.shadow.pool[HEIGHT]] = page
    m.shadow.pool[HEIGHT] += 1


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


@kernel
def _forget_ways(m, vm):
    """Empty the walk caches of all cores of a VM's address spaces."""
    first, slots = m.guests.vm[vm, at.FIRST_PROCESS], m.guests.vm[vm, at.SLOTS]
    view = m.guests.process[first, at.KERNEL_SPACE]
    for core in range(m.sched[at.CORES]):
        flush_walk_caches(m.stores, core, first, first + slots)
        if m.guests.vm[vm, at.HAS_KPTI]:
            flush_walk_caches(m.stores, core, view, view + slots)
