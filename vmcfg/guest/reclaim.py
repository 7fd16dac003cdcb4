"""The guest's own reclaim: what its kernel does when its free memory falls below a watermark.

It decides on guest-physical pages and knows nothing of the host. Its replacement policy looks at A bits of its own page
tables, or is told of every access (`guest.candidates`), and has its own order. So host and guest may both think that a
page is cold: the host pages it out, and some time later the guest does, for which the host must read it first (*double
paging*).

A victim is unmapped from every process that maps it, flushed, and written to the guest's swap area, in one request with
its neighbours. The page is free when the disk is done. Who needs memory meanwhile takes what is left below the
watermark, and waits when that is gone. Pages of files stand in the same order. One that is clean is free at once, for
the file has it; one that is dirty is written to the file. Without a swap area, or with a full one, only these go.
Shared memory goes where anonymous memory does.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.candidates import note_candidate
from vmcfg.guest.page_cache import forget_cached
from vmcfg.guest.pages import page_free
from vmcfg.guest.refaults import leave_mark, place_of_file_page, place_of_slot
from vmcfg.guest.shared_memory import move_to_slot
from vmcfg.guest.unmapping import unmap_everywhere
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event
from vmcfg.reclaim.layer import RESIDENT
from vmcfg.reclaim.passed import NOBODY, is_ranked, set_aside, take_back
from vmcfg.reclaim.replacement import victim
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import CACHED, is_of_disk, is_of_file, page_in, transfer_file
from vmcfg.vmm.images import note_equal
from vmcfg.vmm.paging import PAGES, is_swapped
from vmcfg.vmm.swap import (
    FLIGHTS,
    NO_SLOT,
    area_of,
    flying,
    has_landed,
    is_full,
    land,
    launch,
    note_done,
    slot_take,
    when_landed,
    write_launched,
)
from vmcfg.vmm.verbs import gpa_access

ENOUGH, WAITS, NOTHING_LEFT, NO_FRAMES = range(4)  # what `make_free` comes to
AT_ONCE = -2  # in place of a slot: the page is free
IN_FILE = 1 << 40  # places from here on are pages of files
BATCH = 32  # pages that Linux frees at a time (SWAP_CLUSTER_MAX)


@entry
def make_free(machine, core):
    """Free pages of the guest at the head of a core's queue until as many are free as it wants, and start on more.

    Returns ENOUGH; WAITS if some are on their way (its vCPU's WAITS_UNTIL says for how long); NOTHING_LEFT to page out;
    or NO_FRAMES, when the host has to free some before a page can be read that it paged out itself.
    """
    m = by_reference(machine)
    return free_pages(m, core, np.int64(m.queue[core, 0]))


@part
def free_pages(m, core, vcpu):
    """Free pages of the guest of a vCPU: see `make_free`."""
    vm = m.vcpu[vcpu, at.VM]
    guest, area = m.guests.vm, area_of(vm)
    collect_written(m, vm, m.core[core, at.CLOCK])
    wanted = max(guest[vm, at.GUEST_MIN], guest[vm, at.GUEST_WANTED])
    while guest[vm, at.GUEST_FREE] + flying(m, area) < wanted + BATCH and flying(m, area) + BATCH <= FLIGHTS:
        if m.host.counts[at.FRAME_FREE] < m.host.counts[at.RESERVE] + BATCH:
            m.host.counts[at.WANTED] = m.host.counts[at.RESERVE] + BATCH
            return NO_FRAMES
        if page_out(m, core, vcpu) == 0:
            break
    collect_written(m, vm, m.core[core, at.CLOCK])
    missing = guest[vm, at.GUEST_WANTED] - guest[vm, at.GUEST_FREE]
    if missing <= 0:
        return ENOUGH
    flights = flying(m, area)
    if missing > flights and flights + BATCH <= FLIGHTS:
        return NOTHING_LEFT
    landed = when_landed(m, area, min(missing, flights))
    m.vcpu[vcpu, at.WAITS_UNTIL] = max(m.vcpu[vcpu, at.WAITS_UNTIL], landed)
    return WAITS


@kernel
def collect_written(m, vm, now):
    """Free the pages that have reached the guest's disk."""
    while has_landed(m, area_of(vm), now):
        page_free(m, vm, land(m, area_of(vm)))


@part
def page_out(m, core, vcpu):
    """Free a batch of a guest's pages, or send them out: to its swap area, or to their files; return how many."""
    first = following = count = np.int64(0)
    while count < BATCH and _has_frame(m):
        place = _send_out(m, core, vcpu)
        if place == NO_SLOT:
            break
        count += 1
        if place == AT_ONCE:
            continue
        if place != following:
            _write(m, core, vcpu, first, following, np.int64(1))
            first = place
        following = place + 1
    _write(m, core, vcpu, first, following, np.int64(0))
    return count


@kernel
def _has_frame(m):
    """Tell whether a page that the host has paged out can be read: what was read along may have taken the batch's."""
    return m.host.counts[at.FRAME_FREE] > 0 or m.paging.rules[PAGES] == 0


@part
def can_reclaim(m, vm):
    """Tell whether a guest could page anything out now."""
    if m.guests.vm[vm, at.RECLAIMS] == 0:
        return False
    if m.files.rules[vm, CACHED]:
        return True
    return not is_full(m, area_of(vm)) and _residents(m, vm) > 0


@kernel
def _residents(m, vm):
    return m.paging.guest.owners[vm, RESIDENT] + m.paging.guest.owners[vm, RESIDENT + 1]


@kernel
def _send_out(m, core, vcpu):
    """Let go of the page that the guest's policy chooses.

    Returns NO_SLOT if there is none; AT_ONCE for one that is free already; or where it goes once the disk has it: its
    slot, or from IN_FILE on its place in a file.
    """
    vm = m.vcpu[vcpu, at.VM]
    gpid = _choose(m, vm)
    if gpid < 0:
        return np.int64(NO_SLOT)
    if is_of_disk(m, vm, gpid):
        return _drop(m, core, vcpu, gpid)
    slot = slot_take(m, area_of(vm), np.int64(1))
    leave_mark(m, vm, gpid, place_of_slot(m, vm, slot))
    _unmap(m, core, vcpu, gpid, slot)
    m.counters[m.vcpu[vcpu, at.ROW], Event.GUEST_PAGE_OUTS] += 1
    m.counters[m.vcpu[vcpu, at.ROW], Event.DOUBLE_PAGE_OUTS] += is_swapped(m, gpid)
    _hand_over(m, core, vcpu, gpid)
    return slot


@kernel
def _choose(m, vm):
    """Return the page that the policy chooses, or -1: where the swap area is full, the first that needs none.

    What is passed over enters anew, or keeps its rank: see `reclaim.passed`. Where no page could go the policy is not
    asked, and its order stays.
    """
    is_for_files = is_full(m, area_of(vm))
    if is_for_files and m.files.rules[vm, CACHED] == 0:
        return np.int64(-1)
    gpid = victim(m.paging.guest, vm)
    if gpid < 0 or not is_for_files:
        return gpid
    left = _residents(m, vm)
    passed = np.int64(NOBODY)
    while not is_of_disk(m, vm, gpid) and left > 0:
        passed = _pass_over(m, vm, gpid, passed)
        gpid = victim(m.paging.guest, vm)
        left -= 1
    if not is_of_disk(m, vm, gpid):
        passed = _pass_over(m, vm, gpid, passed)
        gpid = np.int64(-1)
    take_back(m.paging.guest, vm, passed)
    return gpid


@kernel
def _pass_over(m, vm, gpid, passed):
    """Let a page that the policy has named stay; return the pages that are set aside meanwhile."""
    if is_ranked(m.paging.guest, vm):
        return set_aside(m.paging.guest, gpid, passed)
    note_candidate(m, vm, gpid)
    return passed


@kernel
def _unmap(m, core, vcpu, gpid, slot):
    """Unmap a page that goes to a slot, which its leaves remember, or the shared memory that it is of."""
    if not is_of_file(m, m.vcpu[vcpu, at.VM], gpid):
        m.core[core, at.CLOCK] += unmap_everywhere(m, core, vcpu, gpid, slot)
        return
    if m.guests.where[gpid]:
        m.core[core, at.CLOCK] += unmap_everywhere(m, core, vcpu, gpid, np.int64(NO_SLOT))
    move_to_slot(m, gpid, slot)


@kernel
def _drop(m, core, vcpu, gpid):
    """Drop a page of a file, at once if it is clean; see `_send_out`."""
    vm, page = m.vcpu[vcpu, at.VM], page_in(m, gpid)
    leave_mark(m, vm, gpid, place_of_file_page(m, page))
    if m.guests.where[gpid]:
        m.core[core, at.CLOCK] += unmap_everywhere(m, core, vcpu, gpid, np.int64(NO_SLOT))
    is_dirty = m.files.dirtied[page] != 0
    forget_cached(m, m.vcpu[vcpu, at.ROW], vm, gpid)
    if is_dirty:
        _hand_over(m, core, vcpu, gpid)
        note_equal(m, gpid, page)
        return page + IN_FILE
    page_free(m, vm, gpid - m.guests.vm[vm, at.BASE])
    return np.int64(AT_ONCE)


@kernel
def _hand_over(m, core, vcpu, gpid):
    """Hand a page that nobody maps any more to the disk, which reads it past all TLBs."""
    ppn = gpid - m.guests.vm[m.vcpu[vcpu, at.VM], at.BASE]
    m.core[core, at.CLOCK] += gpa_access(m, core, vcpu, ppn)
    launch(m, area_of(m.vcpu[vcpu, at.VM]), ppn)


@kernel
def _write(m, core, vcpu, first, following, behind):
    """Write what was handed over, but for those `behind`, into the places from `first` up to `following`."""
    vm = m.vcpu[vcpu, at.VM]
    now = max(m.core[core, at.CLOCK], m.vcpu[vcpu, at.WAITS_UNTIL])
    if following > first >= IN_FILE:
        done = transfer_file(m, vm, now, first - IN_FILE, following - first, np.int64(1))
        note_done(m, area_of(vm), done, following - first, behind)
        m.counters[m.vcpu[vcpu, at.ROW], Event.FILE_PAGES_WRITTEN] += following - first
    elif following > first:
        write_launched(m, area_of(vm), now, first, following - first, behind)
