"""Guest pages that equal a block of their guest's disk: what the host writes in vain, and need not if it knows of them.

A guest's page that was read from a file, or written to one, has the same content as that place on the guest's disk
until it is changed. A host that knows nothing of this writes such a page to its swap area when it pages it out (a
*silent write*, for nothing has changed), and the order that pages have in their file is lost there. VSwapper's *mapper*
remembers which page equals which block: it drops such a page without a write, and reads it back from the guest's disk,
together with its neighbours in the file (Amit, Tsafrir, Schuster, ASPLOS 2014, section 4.1).

That a page has been changed is known from the guest's own marks: D of the leaf that maps it, or that its kernel has
noted it as dirty. VSwapper comes to the same by write-protection; what its exits cost is not counted. Of a page that
several processes map D is looked for in the EPT; where there is none, or somebody else asks for it in rounds, the page
counts as changed. A page that was dropped is in the state SWAPPED, with a slot beyond the last one of the host's area:
the block's number from there.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import HAS_FILES
from vmcfg.vmm.swap import HOST_AREA, SLOTS

NO_BLOCK = -1


@kernel
def note_equal(m, gpid, page):
    """Note that a guest page and a page of a file on the disk have the same content from now on."""
    m.files.block[gpid] = page + 1
    m.files.image[page] = gpid + 1
    if m.cost[at.HAS_ROUNDS] == 0:
        m.host.pmap[gpid] &= ~np.int64(at.HOST_DIRTY)


@kernel
def note_changed(m, vm, gpid):
    """Note that the content of a guest page is another now."""
    if m.files.rules[vm, HAS_FILES]:
        m.files.block[gpid] = 0


@kernel
def block_of(m, vm, gpid):
    """Return the page of a file whose content a backed guest page has, on the disk, or NO_BLOCK."""
    if m.files.rules[vm, HAS_FILES] == 0 or m.files.block[gpid] == 0:
        return np.int64(NO_BLOCK)
    block = np.int64(m.files.block[gpid]) - 1
    if m.files.image[block] != gpid + 1 or _is_changed(m, gpid):
        return np.int64(NO_BLOCK)
    return block


@kernel
def is_in_image(m, slot):
    """Tell whether what stands in place of a slot is a block of a guest's disk."""
    return slot >= m.paging.area[HOST_AREA, SLOTS]


@kernel
def place_in_image(m, block):
    """Return what stands in place of a slot for a block."""
    return m.paging.area[HOST_AREA, SLOTS] + block


@kernel
def block_at(m, slot):
    """Return the block that stands in place of a slot."""
    return slot - m.paging.area[HOST_AREA, SLOTS]


@kernel
def dropped_page(m, block):
    """Return the guest page that was dropped because it equals a block, or -1."""
    gpid = np.int64(m.files.image[block]) - 1
    is_dropped = gpid >= 0 and m.host.pmap[gpid] & at.KIND_MASK == at.SWAPPED
    return gpid if is_dropped and m.host.pmap[gpid] >> at.MPN_SHIFT == place_in_image(m, block) else np.int64(-1)


@kernel
def _is_changed(m, gpid):
    """Tell whether a page in the guest's cache is dirty; one that has left it has not been touched since."""
    page = np.int64(m.files.origin[gpid]) - 1
    if page < 0:
        return False
    if m.files.dirtied[page]:
        return True
    leaf = m.guests.where[gpid] - 1
    if leaf >= 0 and m.guests.sharers[gpid] > 1:
        return m.cost[at.HAS_EPT_AD] == 0 or m.cost[at.HAS_ROUNDS] != 0 or m.host.pmap[gpid] & at.HOST_DIRTY != 0
    return leaf >= 0 and m.guests.tables[leaf] & at.DIRTY != 0
