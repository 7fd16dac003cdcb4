"""Host paging: guest pages that lie in the host's swap area, and which pages may go there.

A page without a frame reads as zero, or lies in a slot of the host's swap area; a guest that touches such a page exits,
waits for the disk and goes on. What a VM can be made to give are all its backed pages but those that hold guest page
tables or its kernel's memory, which stay. Free pages of the guest are among them: the VMM does not know which these
are. A replacement policy (`vmcfg.reclaim`) keeps them in order.

Swap slots are read in clusters: neighbours of the slot that is needed come along, as far as there is memory for them.
Guests' pages that were next to each other when they were paged out are likely to be wanted together, the first time.
Later the area is fragmented, neighbours have nothing to do with each other, and the help turns into a burden.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.reclaim.layer import RESIDENT
from vmcfg.reclaim.replacement import enter, leave
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import end_of_file, transfer_file
from vmcfg.vmm.frames import frame_take
from vmcfg.vmm.images import block_at, dropped_page, is_in_image, note_changed
from vmcfg.vmm.swap import FIRST, HOST_AREA, SLOTS, slot_free, transfer

# rules[field]. PAGES: 1 if the host pages; BATCH: pages that leave a VM at a time; CLUSTER: slots read at once;
# VMS: of the host; NEXT_VM: whose quota is used next; PREVENTS: what is overwritten as a whole is not read in before.
# IS_TOLD: the policy is told of every access, IN_ORDER or by when its page will be accessed next, AHEAD; WHEN: what it
# is told of the last one. CAPACITY: pages that may be resident before one must leave for another; 0: as many as there
# are frames for. MAPS: pages that equal a block of their guest's disk are dropped, and read from there (`vmm.images`).
# RUN_FIRST, RUN_END: the slots that were filled last and have not been written yet, both NO_SLOT if there are none.
PAGES, BATCH, CLUSTER, VMS, NEXT_VM, PREVENTS, IS_TOLD, WHEN, CAPACITY, MAPS, RUN_FIRST, RUN_END, RULES = range(13)
IN_ORDER, AHEAD = 1, 2
BY_CPU, BY_DEVICE = 1, 2  # who overwrites the whole of a page that is paged in for it; else 0


@kernel
def is_swapped(m, gpid):
    """Tell whether a guest page lies in the host's swap area."""
    return m.host.pmap[gpid] & at.KIND_MASK == at.SWAPPED


@kernel
def slot_of(m, gpid):
    """Return the slot of a page that lies in the host's swap area."""
    return m.host.pmap[gpid] >> at.MPN_SHIFT


@kernel
def note_backed(m, vm, gpid):
    """Let a page that has got a frame be chosen from now on.

    Where accesses have an order, so have pages that come in with one of them: no two of a policy's times are equal.
    """
    if _is_paged(m, vm, gpid):
        m.paging.rules[WHEN] += m.paging.rules[IS_TOLD] == IN_ORDER
        enter(m.paging.host, vm, gpid, m.paging.rules[WHEN])


@kernel
def note_unbacked(m, vm, gpid):
    """Let a page that is about to lose its frame, or to hold a table, be chosen no more."""
    if _is_paged(m, vm, gpid):
        leave(m.paging.host, vm, gpid)


@kernel
def is_at_capacity(m):
    """Tell whether as many pages are resident as may be: then one must leave for the next."""
    if m.paging.rules[CAPACITY] == 0:
        return False
    held = np.int64(0)
    for vm in range(m.paging.rules[VMS]):
        held += m.paging.host.owners[vm, RESIDENT] + m.paging.host.owners[vm, RESIDENT + 1]
    return held >= m.paging.rules[CAPACITY]


@part
def page_in(m, core, vcpu, vm, ppn, is_overwritten):
    """Give a page that lies in the swap area a frame, and read it unless that can be spared."""
    gpid = m.guests.vm[vm, at.BASE] + ppn
    row = m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW]
    slot = slot_of(m, gpid)
    _return_page(m, vm, gpid)
    m.counters[row, Event.HOST_PAGE_INS] += 1
    if is_overwritten and (m.paging.rules[PREVENTS] or (m.paging.rules[MAPS] and is_overwritten == BY_DEVICE)):
        m.counters[row, Event.PREVENTED_READS] += 1
        return
    m.counters[row, Event.FALSE_READS] += is_overwritten == BY_CPU
    m.counters[row, Event.STALE_READS] += is_overwritten == BY_DEVICE
    now = m.core[core, at.CLOCK]
    if is_in_image(m, slot):
        m.counters[row, Event.IMAGE_PAGE_INS] += 1
        block = block_at(m, slot)
        block, pages = _read_along(m, block, end_of_file(m, vm, block), True)
        done = transfer_file(m, vm, now, block, pages, np.int64(0))
    else:
        first, pages = _read_along(m, slot, m.paging.area[HOST_AREA, SLOTS], False)
        done = transfer(m, HOST_AREA, now, first, pages, np.int64(0))
    m.vcpu[vcpu, at.WAITS_UNTIL] = max(m.vcpu[vcpu, at.WAITS_UNTIL], done)


@part
def note_use(m, vm, gpid, is_overwritten):
    """Note that a page of a guest with files is used past the TLBs: its content, unless that is overwritten."""
    if is_overwritten:
        note_changed(m, vm, gpid)
        count_unused(m, m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW], gpid)
    if m.paging.rules[PAGES] and m.host.pmap[gpid] & at.KIND_MASK == at.PRIVATE:
        m.host.pmap[gpid] |= at.HOST_ACCESSED


@kernel
def count_unused(m, row, gpid):
    """Count a page that came along for nothing, if it did: nobody has used it, and its content is going now."""
    shows_use = m.cost[at.HAS_EPT_AD] or m.cost[at.MODE] == at.SHADOW
    is_unused = m.host.pmap[gpid] & (at.CAME_ALONG | at.HOST_ACCESSED) == at.CAME_ALONG
    m.counters[row, Event.READ_AHEAD_UNUSED] += shows_use and is_unused
    m.host.pmap[gpid] &= ~np.int64(at.CAME_ALONG)


@kernel
def give_slot_back(m, gpid):
    """Give the slot of a page in the host's swap area back, if it has one there and is not in its guest's disk."""
    if not is_in_image(m, slot_of(m, gpid)):
        slot_free(m, np.int64(HOST_AREA), slot_of(m, gpid))


@kernel
def _is_paged(m, vm, gpid):
    """Tell whether a guest page is one that the host may page out, if it is backed."""
    is_pinned = gpid - m.guests.vm[vm, at.BASE] < m.guests.vm[vm, at.PINNED]
    return m.paging.rules[PAGES] != 0 and not is_pinned and m.host.pmap[gpid] & at.IS_TABLE == 0


@kernel
def _return_page(m, vm, gpid):
    """Give a swapped page a frame again, and its slot back."""
    give_slot_back(m, gpid)
    mpn = frame_take(m, at.FRAME_PRIVATE, gpid)
    m.host.pmap[gpid] = (mpn << at.MPN_SHIFT) | (m.host.pmap[gpid] & at.IS_TABLE) | at.PRIVATE
    note_backed(m, vm, gpid)


@part
def _read_along(m, place, limit, in_image):
    """Bring in what lies in the used slots around one that is read, as far as frames allow; return (first, slots).

    The slots that are read are neighbours: a free one among them ends the stretch, as reading it would be in vain. In a
    guest's disk they are blocks whose pages have been dropped.
    """
    cluster = m.paging.rules[CLUSTER]
    begin = place // cluster * cluster
    end = min(begin + cluster, limit)
    first, last = place, place + 1
    while first > begin and _read_neighbour(m, first - 1, in_image):
        first -= 1
    while last < end and _read_neighbour(m, last, in_image):
        last += 1
    return first, last - first


@kernel
def _page_at(m, place, in_image):
    """Return the guest page that is out of memory and lies in a slot, or in a block, or -1."""
    if in_image:
        return dropped_page(m, place)
    return np.int64(m.paging.slots[m.paging.area[HOST_AREA, FIRST] + place]) - 1


@kernel
def _read_neighbour(m, place, in_image):
    """Bring in what lies in a slot, if anything does and a frame can be spared for it; tell whether that was done.

    It may be a page of another VM, whose batch went out next to this one's: it is that one's page that came along.
    """
    gpid = _page_at(m, place, in_image)
    if gpid < 0 or m.host.counts[at.FRAME_FREE] <= m.host.counts[at.RESERVE] + m.host.counts[at.PROMISED]:
        return False
    vm = _vm_of(m, gpid)
    _return_page(m, vm, gpid)
    m.host.pmap[gpid] |= at.CAME_ALONG
    m.counters[m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW], Event.HOST_READ_AHEAD] += 1
    return True


@kernel
def _vm_of(m, gpid):
    """Return the VM that a guest page belongs to."""
    vm = np.int64(0)
    while vm + 1 < m.paging.rules[VMS] and m.guests.vm[vm + 1, at.BASE] <= gpid:
        vm += 1
    return vm
