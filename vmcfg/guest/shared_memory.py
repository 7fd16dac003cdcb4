"""Shared memory without a file: pages that all processes of a guest see, as by shm_open, tmpfs or System V's shmget.

A private page belongs to a place of one process: after a fork whoever writes first gets a copy. A server that keeps its
buffer in such pages has as many buffers as children that write to it. Shared memory belongs to nobody: page n of a
region is the same page for whoever touches it, be it before or after a fork, by a child or by its parent. So it is kept
as files are, a page by its number (`vmm.files`), and mapped by the same faults (`guest.file_mapping`); nothing is ever
copied on write.

What it lacks is a disk. A page is made, and zeroed, when it is touched first. Reclaim can only write it to the guest's
swap area, as anonymous memory. Leaves of that remember their slots; here all of them are emptied, and the page's
number does (Linux keeps such slots in the file's tree of pages). Whoever touches it next reads it back for all.

It lives as long as anybody has the region, whether he has touched it or not: all processes of the guest have. An exit
frees none of it, but for that of the last process, and what munmap takes away is freed if no other process is there.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import count_living
from vmcfg.guest.candidates import note_candidate
from vmcfg.guest.data_pages import forget_page
from vmcfg.guest.pages import page_free, page_take
from vmcfg.guest.swapping import read_slot, release_slot
from vmcfg.jit import kernel, part
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import SHARED_END, SHARED_FIRST, page_in
from vmcfg.vmm.swap import area_of, has_slots
from vmcfg.vmm.verbs import gpa_overwrite


@part
def bring_in(m, core, vcpu, page):
    """Put a page of shared memory that is not in memory into a new guest page; return (own cycles, of exits)."""
    vm = m.vcpu[vcpu, at.VM]
    own = exits = np.int64(0)
    if m.files.cached[page] < 0:
        ppn, exits = read_slot(m, core, vcpu, _slot_of(m, page))
    else:
        ppn = page_take(m, vm)
        if m.guests.vm[vm, at.ZEROES]:
            exits += gpa_overwrite(m, core, vcpu, ppn)
            own += m.cost[at.ZERO_PAGE]
    hold(m, vm, page, ppn)
    return own, exits


@kernel
def hold(m, vm, page, ppn):
    """Let a guest page be found as a page of shared memory, and reclaimed where there is a swap area."""
    gpid = m.guests.vm[vm, at.BASE] + ppn
    m.files.cached[page] = ppn + 1
    m.files.origin[gpid] = page + 1
    if m.guests.vm[vm, at.RECLAIMS] and has_slots(m, area_of(vm)):
        note_candidate(m, vm, gpid)


@kernel
def hold_before_run(m, vm, page):
    """Return the guest page that holds a page of shared memory before the run, a new one if there is none."""
    if m.files.cached[page] == 0:
        hold(m, vm, page, page_take(m, vm))
    return np.int64(m.files.cached[page]) - 1


@kernel
def move_to_slot(m, gpid, slot):
    """Note that a page of shared memory that nobody maps any more is in a slot of the swap area from now on."""
    page = page_in(m, gpid)
    m.files.cached[page] = -1 - slot
    m.files.origin[gpid] = 0


@part
def free_if_last(m, vcpu, first, end):
    """Free those of some pages of shared memory that nobody maps, if the guest has only one process."""
    vm = m.vcpu[vcpu, at.VM]
    first = max(first, m.files.rules[vm, SHARED_FIRST])
    end = min(end, m.files.rules[vm, SHARED_END])
    if first >= end or count_living(m, vm) > 1:
        return
    for page in range(first, end):
        gpid = m.guests.vm[vm, at.BASE] + np.int64(m.files.cached[page]) - 1
        if m.files.cached[page] < 0:
            release_slot(m, vcpu, vm, _slot_of(m, np.int64(page)))
            m.files.cached[page] = 0
        elif m.files.cached[page] and m.guests.sharers[gpid] == 0:
            forget_page(m, vm, gpid - m.guests.vm[vm, at.BASE])
            page_free(m, vm, gpid - m.guests.vm[vm, at.BASE])
            m.files.cached[page] = m.files.origin[gpid] = 0


@part
def free_all_if_last(m, vcpu):
    """The same for all of a guest's shared memory."""
    vm = m.vcpu[vcpu, at.VM]
    free_if_last(m, vcpu, m.files.rules[vm, SHARED_FIRST], m.files.rules[vm, SHARED_END])


@kernel
def _slot_of(m, page):
    return -1 - np.int64(m.files.cached[page])
