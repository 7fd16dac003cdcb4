"""Refault distances of a guest: what its policy remembers of a page that is gone stays where the page's content is.

Two lists remember when a page went, to judge it by how long it was away (`reclaim.two_list`). A host can remember that
by the page, for a guest-physical page is the same memory wherever it is. A guest cannot: its page holds something else
as soon as it is free, and what went comes back in another. So Linux puts the mark, a *shadow entry*, to where the
content will be looked for: in place of the page in the swap cache, or in the file's tree of pages. Here each *place*,
a slot of a guest's swap area or a page of a file, has room for one.

A mark lives as long as its content is only there. A slot keeps it until it is free, and shows it to each process whose
leaf leads there, for each reads a page of its own. A file's page has it until it is in the cache again. Reading brings
it in with its mark, even ahead of anybody's need; what is written whole comes without, for it is new (Linux's
__GFP_WRITE). What is lost with the guest's memory, by a power-off or a reboot, loses its mark, too.

The age that marks are taken from is the policy's own, one for pages of all kinds, and goes on over a reboot. Policies
that remember nothing have no room for marks.
"""

from __future__ import annotations

from vmcfg.jit import kernel
from vmcfg.reclaim.layer import POLICY, TWO_LIST
from vmcfg.reclaim.replacement import leave
from vmcfg.reclaim.two_list import give_mark, mark_of
from vmcfg.vmm.paging import VMS
from vmcfg.vmm.swap import FIRST, SLOTS, area_of


@kernel
def place_of_slot(m, vm, slot):
    """Return the place of a slot of a guest's swap area."""
    return m.paging.area[area_of(vm), FIRST] + slot


@kernel
def place_of_file_page(m, page):
    """Return the place of a page of a file, by its number: they follow the slots of all areas."""
    last = area_of(m.paging.rules[VMS] - 1)
    return m.paging.area[last, FIRST] + m.paging.area[last, SLOTS] + page


@kernel
def leave_mark(m, vm, gpid, place):
    """Leave at a place what its guest's policy remembers of a victim that goes there; of the page it forgets it."""
    if _has_marks(m, vm):
        m.paging.marks[place] = mark_of(m.paging.guest, gpid)
    leave(m.paging.guest, vm, gpid)


@kernel
def find_mark(m, vm, gpid, place):
    """Let the policy remember of a page that is about to become a candidate what has been left at a place."""
    if _has_marks(m, vm):
        give_mark(m.paging.guest, gpid, m.paging.marks[place])


@kernel
def drop_mark(m, vm, place):
    """Forget what has been left at a place: its content is gone, or not only there any more."""
    if _has_marks(m, vm):
        m.paging.marks[place] = 0


@kernel
def _has_marks(m, vm):
    return m.paging.guest.owners[vm, POLICY] == TWO_LIST
