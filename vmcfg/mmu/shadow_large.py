"""Large pages under shadow paging: a shadow entry is as large as the smaller of the guest's page and the host's.

A large page of the guest on a host page of the same size, or a larger one, has a large shadow entry, in the shadow of
the very table that maps it; walks end there, and TLBs hold it whole. On smaller host pages it has *pieces*: a shadow
page for that one entry, whose own are filled one by one as they are touched. Small pages of the guest on a large host
page have small entries: the guest's table says so.

The guest has one A and one D for the page. The first store to any piece sets D, and from then on pieces are filled with
W; those filled before lack it until a store to them faults.

Tables that map large pages are never let out of sync, and an emulated write to them installs nothing (so in KVM): the
entry is dropped, with its pieces. Where the VMM splits a host page, or puts one together, all that maps it is dropped,
and the next fault makes it anew in its new size.
"""

from __future__ import annotations

from vmcfg.jit import kernel, part
from vmcfg.mmu.walks import is_dirty_entry, page_of, slot_in_table
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.large_pages import level_behind
from vmcfg.vmm.shadow_pages import GUEST_TABLE, LEAF_LEVEL, LEVEL, cut, new_pieces, place_of, set_leaf
from vmcfg.vmm.verbs import back, is_backed


@part
def fill_large(m, vm, page, slot, vpn, is_store):
    """Fill the shadow of a page by the guest's large leaf at `slot`, in the shadow page of its table or below.

    Returns the frames taken: for the page, and then for its pieces.
    """
    leaf = mark_leaf(m, slot, is_store)
    level = m.shadow.page[page, LEVEL]
    ppn = _ppn_in(leaf, vpn, level)
    frames = 0 if is_backed(m, vm, ppn) else back(m, vm, ppn)
    behind = level_behind(m, vm, ppn)
    while level > behind:
        child = m.shadow.entries[slot_in_table(page, vpn, level)] >> at.CHILD_SHIFT
        if child == 0:
            child = new_pieces(m, page, place_of(vpn, level))
            frames += 1
        page = child
        level -= 1
    cut(m, page, place_of(vpn, level))  # pieces, from before the host's page became large
    bits = at.PRESENT | (at.WRITABLE if is_dirty_entry(leaf) else 0) | (at.LARGE_PAGE if level > 1 else 0)
    set_leaf(m, page, place_of(vpn, level), m.guests.vm[vm, at.BASE] + (ppn & -pages_below(level)), bits)
    return frames


@kernel
def mark_leaf(m, slot, is_store):
    """Set A of the guest's leaf at `slot`, and D for a store if it has W, as the processor would; return it."""
    wanted = m.guests.tables[slot] | at.ACCESSED
    if is_store and wanted & at.WRITABLE:
        wanted |= at.DIRTY
    m.guests.tables[slot] = wanted
    return wanted


@part
def lacks_pieces(m, vm, page, vpn, level):
    """Tell whether a shadow page is missing below the absent entry of `level` in `page`, on the way to a page.

    None is if the guest's page is large there, and the host's behind it at least as large.
    """
    guest_level = m.shadow.page[page, LEAF_LEVEL]
    leaf = m.guests.tables[slot_in_table(m.shadow.page[page, GUEST_TABLE], vpn, guest_level)]
    if leaf & at.LARGE_PAGE == 0:
        return True
    return level_behind(m, vm, _ppn_in(leaf, vpn, guest_level)) < level


@kernel
def _ppn_in(leaf, vpn, level):
    """Return the guest page of a virtual page that a leaf of `level` maps."""
    return page_of(leaf) + (vpn & (pages_below(level) - 1))
