"""What the VMM takes back when a VM is powered off: all that it has given it, at once.

Frames, slots in the swap area, places in the compression cache, the tables of its EPT. Nothing is written anywhere, for
nobody will read it. Frames that are on their way to the disk just then arrive there, and are free when they have. What
the cores hold of the VM's memory goes by one flush, as after a batch that is paged out.
"""

from __future__ import annotations

from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.reclaim.replacement import leave
from vmcfg.vmm import machine as at
from vmcfg.vmm.balloon import drop_slot
from vmcfg.vmm.compression import drop, is_compressed
from vmcfg.vmm.frames import frame_free, pages_below
from vmcfg.vmm.images import note_changed
from vmcfg.vmm.paging import PAGES, is_swapped

EPT_LEVELS = 5  # at most


@part
def take_back(m, vm, row):
    """Take all memory of a VM back that no shadow leads to any more; its pages are as if never touched."""
    base = m.guests.vm[vm, at.BASE]
    for gpid in range(base, base + m.guests.vm[vm, at.PAGES]):
        _take_page(m, vm, row, gpid)
    m.paging.quota[vm] = 0
    for level in range(2, EPT_LEVELS + 1):
        if m.guests.vm[vm, at.EPT + level] >= 0:
            _take_tables(m, vm, level)
    _take_root(m, vm)


@kernel
def _take_page(m, vm, row, gpid):
    if m.paging.rules[PAGES]:
        leave(m.paging.host, vm, gpid)
    if is_swapped(m, gpid):
        drop_slot(m, row, gpid)
    elif is_compressed(m, gpid):
        m.counters[row, Event.COMPRESSED_DROPPED] += 1
        drop(m, vm, gpid)
    elif m.host.pmap[gpid] & at.KIND_MASK == at.PRIVATE:
        frame_free(m, m.host.pmap[gpid] >> at.MPN_SHIFT)
    note_changed(m, vm, gpid)
    m.host.pmap[gpid] = 0


@kernel
def _take_tables(m, vm, level):
    """Free the tables that a VM's entries of a level lead to; those of shadow paging say sizes and lead nowhere."""
    first = m.guests.vm[vm, at.EPT + level]
    for entry in range(first, first + (m.guests.vm[vm, at.PAGES] - 1) // pages_below(level) + 1):
        if m.host.ept[entry] > 0 and m.guests.vm[vm, at.HOST_LEVELS]:
            frame_free(m, m.host.ept[entry] - 1)
        m.host.ept[entry] = 0


@kernel
def _take_root(m, vm):
    """Free an EPT's root; a flat table has all of its frames there."""
    if m.guests.vm[vm, at.HOST_LEVELS] == 0:
        return
    frames = (m.guests.vm[vm, at.PAGES] - 1) // at.TABLE_ENTRIES + 1 if m.guests.vm[vm, at.HOST_LEVELS] == 1 else 1
    for number in range(frames):
        frame_free(m, m.guests.vm[vm, at.EPT_ROOT] + number)
    m.guests.vm[vm, at.EPT_ROOT] = -1
