"""Swap areas: slots on a disk that hold pages, and the pages that are on their way there.

There is one area for the host and one for each guest; each is a stretch of some disk. A slot is found by going on from
where the last one was found, round the area (next fit): what is paged out together then lies together, as long as the
area is not fragmented. Writes are asynchronous. A page that is on its way keeps its memory until its disk is done, in
the order in which they were asked for: disks do one thing after the other, so the first is always done first.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.vmm.devices import request

# area[area, field]. FIRST: of its slots in `slots`; PLACE: of its first slot on its disk; NEXT: where the search for a
# free slot goes on; USED: slots that hold a page; LANDED, LAUNCHED: pages whose write is done, and was asked for.
DEVICE, PLACE, FIRST, SLOTS, NEXT, USED, LANDED, LAUNCHED = range(8)
AREA_FIELDS = 8
HOST_AREA = 0  # guests' own follow: see `area_of`
FLIGHTS = 4096  # pages that may be on their way out of an area's memory at once: a power of two
WHAT, DONE_AT = range(2)  # of a flight
NO_SLOT = -1  # there is none


@kernel
def slot_take(m, area, content):
    """Take a free slot for `content`, which is not 0, and return it. The caller has made sure that there is one."""
    a = m.paging.area
    slot = a[area, NEXT]
    while m.paging.slots[a[area, FIRST] + slot]:
        slot = slot + 1 if slot + 1 < a[area, SLOTS] else np.int64(0)
    m.paging.slots[a[area, FIRST] + slot] = content
    a[area, NEXT] = slot + 1 if slot + 1 < a[area, SLOTS] else np.int64(0)
    a[area, USED] += 1
    return slot


@kernel
def slot_free(m, area, slot):
    """Give a slot back."""
    a = m.paging.area
    m.paging.slots[a[area, FIRST] + slot] = 0
    a[area, USED] -= 1


@kernel
def transfer(m, area, now, slot, pages, is_write):
    """Ask the area's disk for neighbouring slots; return when it is done."""
    a = m.paging.area
    return request(m, a[area, DEVICE], now, a[area, PLACE] + slot, pages, is_write)


@kernel
def slot_count(m, area, slot, change):
    """Change how many entries lead to a guest's slot; return how many do then."""
    place = m.paging.area[area, FIRST] + slot
    m.paging.slots[place] += change
    return np.int64(m.paging.slots[place])


@kernel
def is_full(m, area):
    """Tell whether all slots of an area hold something."""
    return m.paging.area[area, USED] == m.paging.area[area, SLOTS]


@kernel
def has_slots(m, area):
    """Tell whether there is such an area at all."""
    return m.paging.area[area, SLOTS] > 0


@kernel
def area_of(vm):
    """Return the swap area of a guest."""
    return 1 + vm


@kernel
def launch(m, area, what):
    """Note that a page is on its way out. The caller has made sure that there is room for it."""
    a = m.paging.area
    m.paging.flights[area * FLIGHTS + (a[area, LAUNCHED] & (FLIGHTS - 1)), WHAT] = what
    a[area, LAUNCHED] += 1


@part
def write_launched(m, area, now, slot, pages, behind):
    """Write the last pages that were launched, but for those `behind`, into neighbouring slots, with one request."""
    note_done(m, area, transfer(m, area, now, slot, pages, np.int64(1)), pages, behind)


@kernel
def note_done(m, area, done, pages, behind):
    """Note when such pages will be there: not before those that were launched before them."""
    last = m.paging.area[area, LAUNCHED] - behind
    if last - pages > m.paging.area[area, LANDED]:
        done = max(done, m.paging.flights[area * FLIGHTS + ((last - pages - 1) & (FLIGHTS - 1)), DONE_AT])
    for flight in range(last - pages, last):
        m.paging.flights[area * FLIGHTS + (flight & (FLIGHTS - 1)), DONE_AT] = done


@kernel
def flying(m, area):
    """Return how many pages are on their way."""
    return m.paging.area[area, LAUNCHED] - m.paging.area[area, LANDED]


@kernel
def has_landed(m, area, now):
    """Tell whether the first of those on their way is there by now."""
    return flying(m, area) > 0 and when_landed(m, area, np.int64(1)) <= now


@kernel
def when_landed(m, area, number):
    """Return when the n-th of those on their way, from 1, will be there."""
    place = (m.paging.area[area, LANDED] + number - 1) & (FLIGHTS - 1)
    return m.paging.flights[area * FLIGHTS + place, DONE_AT]


@kernel
def land(m, area):
    """Take the first of those on their way off the list; return what it was."""
    a = m.paging.area
    place = a[area, LANDED] & (FLIGHTS - 1)
    a[area, LANDED] += 1
    return m.paging.flights[area * FLIGHTS + place, WHAT]
