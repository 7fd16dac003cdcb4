"""Data pages of a guest: how many mappings each has, where one of them is, what becomes of it at the last one's end.

Processes share pages after a fork, and those of files by mapping them, each at the same virtual page. So it is enough
to know where one mapping of a page is (`where`), and which page of which process a leaf table begins with (`homes`):
the others are found by looking at the same virtual page of the guest's other processes. Only a guest that reclaims
memory keeps this at all.

A page is free when its last holder lets go of it: a mapping, of which `sharers` counts all but one. A page of a file is
held by the page cache, and one of shared memory by that: so `sharers` counts all of its mappings, and it stays.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import leaf_slot
from vmcfg.guest.candidates import note_candidate
from vmcfg.guest.pages import block_free, page_free
from vmcfg.jit import kernel, part
from vmcfg.mmu.walks import page_of
from vmcfg.reclaim.replacement import leave
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import TURNS, is_of_disk, is_of_file, page_in
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.swap import area_of, has_slots

HOME_SHIFT = 40  # homes[table]: its process above, the number of its 512 pages below


@kernel
def share_page(m, vm, ppn, level):
    """Note one more mapping of a data page of any size."""
    first = m.guests.vm[vm, at.BASE] + ppn
    for gpid in range(first, first + pages_below(level)):
        m.guests.sharers[gpid] += 1


@kernel
def is_shared(m, vm, ppn, level):
    """Tell whether other processes share any part of a data page and must not see what is written: not of a file."""
    gpid = m.guests.vm[vm, at.BASE] + ppn
    if is_of_file(m, vm, gpid):
        return False
    end = gpid + pages_below(level)
    while gpid < end and m.guests.sharers[gpid] == 0:
        gpid += 1
    return gpid < end


@kernel
def note_mapped(m, process, vpn, slot):
    """Let a data page that has just been mapped, by the leaf at `slot`, be found and reclaimed."""
    vm = m.guests.process[process, at.PROCESS_VM]
    if m.guests.vm[vm, at.RECLAIMS]:
        gpid = m.guests.vm[vm, at.BASE] + page_of(m.guests.tables[slot])
        note_home(m, process, vpn, slot)
        m.guests.where[gpid] = slot + 1
        if has_slots(m, area_of(vm)):
            note_candidate(m, vm, gpid)


@kernel
def note_file_mapped(m, process, vpn, slot):
    """Note one more mapping of a page of a file, by the leaf at `slot`."""
    vm = m.guests.process[process, at.PROCESS_VM]
    gpid = m.guests.vm[vm, at.BASE] + page_of(m.guests.tables[slot])
    m.guests.sharers[gpid] += 1
    if m.guests.vm[vm, at.RECLAIMS]:
        note_home(m, process, vpn, slot)
        if m.guests.where[gpid] == 0:
            m.guests.where[gpid] = slot + 1


@kernel
def harvest_dirty(m, vm, entry):
    """Keep that a page of a file is dirty, if the leaf says so that is going to lead to it no more."""
    gpid = m.guests.vm[vm, at.BASE] + page_of(entry)
    if entry & at.DIRTY and is_of_disk(m, vm, gpid):
        note_dirty(m, vm, page_in(m, gpid))


@kernel
def note_dirty(m, vm, page):
    """Note that a page of a file is dirty, from the kernel's next look for such pages on, unless it is already."""
    if m.files.dirtied[page] == 0:
        m.files.dirtied[page] = m.files.rules[vm, TURNS] + 1


@kernel
def note_home(m, process, vpn, slot):
    """Remember whose leaf table an entry is in, if its guest reclaims."""
    if m.guests.vm[m.guests.process[process, at.PROCESS_VM], at.RECLAIMS]:
        m.guests.homes[slot // at.TABLE_ENTRIES] = (process << HOME_SHIFT) | (vpn // at.TABLE_ENTRIES)


@kernel
def home_of(m, slot):
    """Return (process, virtual page) of a leaf that maps a data page."""
    home = np.int64(m.guests.homes[slot // at.TABLE_ENTRIES])
    first = (home & ((1 << HOME_SHIFT) - 1)) * at.TABLE_ENTRIES
    return home >> HOME_SHIFT, first + slot % at.TABLE_ENTRIES


@kernel
def unshare_page(m, vm, slot, ppn):
    """Note one mapping less of a small page that others hold: that of the leaf at `slot`, which is gone."""
    gpid = m.guests.vm[vm, at.BASE] + ppn
    m.guests.sharers[gpid] -= 1
    if m.guests.vm[vm, at.RECLAIMS] and m.guests.where[gpid] == slot + 1:
        m.guests.where[gpid] = 0
        if m.guests.sharers[gpid] or not is_of_file(m, vm, gpid):
            _, vpn = home_of(m, slot)
            m.guests.where[gpid] = _other_mapping(m, vm, vpn, ppn) + 1


@kernel
def release_page(m, vm, slot, ppn, level):
    """Let go of a data page of any size that the leaf at `slot` mapped: it is freed but for what others hold.

    A large page that nobody shares any part of is a block again.
    """
    if level > 1 and not is_shared(m, vm, ppn, level):
        block_free(m, vm, ppn, level)
        return
    base = m.guests.vm[vm, at.BASE]
    for page in range(ppn, ppn + pages_below(level)):
        if m.guests.sharers[base + page]:
            unshare_page(m, vm, slot, np.int64(page))
        else:
            forget_page(m, vm, np.int64(page))
            page_free(m, vm, np.int64(page))


@kernel
def forget_page(m, vm, ppn):
    """Let a data page that nobody maps any more be reclaimed no more."""
    if m.guests.vm[vm, at.RECLAIMS]:
        gpid = m.guests.vm[vm, at.BASE] + ppn
        m.guests.where[gpid] = 0
        leave(m.paging.guest, vm, gpid)


@part
def _other_mapping(m, vm, vpn, ppn):
    """Return where another process of the guest maps a page, at the same virtual page."""
    first = m.guests.vm[vm, at.FIRST_PROCESS]
    for process in range(first, first + m.guests.vm[vm, at.SLOTS]):
        if m.guests.process[process, at.IS_LIVE]:
            slot, _ = leaf_slot(m, process, vpn)
            if slot >= 0 and m.guests.tables[slot] & at.PRESENT and page_of(m.guests.tables[slot]) == ppn:
                return slot
    assert False, "a shared page has no other mapping"  # noqa: B011
