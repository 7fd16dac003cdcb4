"""The guest's page cache: pages of files that its kernel keeps in memory, because they may be wanted again.

It takes any free memory, and the guest's reclaim takes it back in the same order as everything else. A page is found by
its number among all pages of files (`vmm.files`). One that is missing is read from the disk into a new guest page, past
all TLBs as devices do, and with it those behind it that are missing, too (*read-ahead*): one request for neighbours.
Who needed the page waits; what came along is there from then on. The processor copies what read() and write() are
about, page by page; pages that processes map are used in place.

What write() or a store has changed is *dirty*. A store sets D in the page table, and the kernel learns of it when it
unmaps the page, drops it, or looks for dirty pages (`guest.write_back`). The disk gets to know later.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.candidates import note_candidate, note_use_of
from vmcfg.guest.data_pages import note_dirty
from vmcfg.guest.pages import page_take
from vmcfg.guest.refaults import drop_mark, find_mark, place_of_file_page
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.reclaim.layer import clear_accessed
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import CACHED, FIRST, PAGES, READ_AHEAD, SPARE, end_of_file, file_row, transfer_file
from vmcfg.vmm.images import note_equal
from vmcfg.vmm.verbs import gpa_access, gpa_overwrite, gpa_read_into, is_backed
from vmcfg.workload import fields as work


@kernel
def cached_ppn(m, page):
    """Return the guest page that holds a page of a file, or -1."""
    return np.int64(m.files.cached[page]) - 1


@kernel
def look_up(m, row, page):
    """Tell whether a page of a file is in the cache, and count that."""
    is_there = m.files.cached[page] != 0
    m.counters[row, Event.CACHE_LOOKUPS] += 1
    m.counters[row, Event.CACHE_HITS] += is_there
    m.counters[row, Event.CACHE_MISSES] += not is_there
    return is_there


@part
def fetch(m, core, vcpu, page, keep):
    """Read a page that is missing, and those behind it; return the cycles of exits.

    What comes along leaves the guest `keep` pages beside half of its watermark, and the host the frames that it needs.
    """
    vm, row = m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.ROW]
    end = min(page + m.files.rules[vm, READ_AHEAD], end_of_file(m, vm, page))
    exits = np.int64(0)
    following = page
    while following < end and m.files.cached[following] == 0:
        if following > page and not _can_spare(m, vm, keep):
            break
        ppn = page_take(m, vm)
        exits += gpa_read_into(m, core, vcpu, ppn)
        find_mark(m, vm, m.guests.vm[vm, at.BASE] + ppn, place_of_file_page(m, following))
        note_cached(m, vm, following, ppn)
        note_equal(m, m.guests.vm[vm, at.BASE] + ppn, following)
        following += 1
    now = max(m.core[core, at.CLOCK], m.vcpu[vcpu, at.WAITS_UNTIL])
    m.vcpu[vcpu, at.WAITS_UNTIL] = transfer_file(m, vm, now, page, following - page, np.int64(0))
    m.counters[row, Event.FILE_PAGES_READ] += following - page
    m.counters[row, Event.FILE_READ_AHEAD] += following - page - 1
    return exits


@part
def note_cached(m, vm, page, ppn):
    """Let a guest page be found as a page of a file, and reclaimed; nobody has used it yet."""
    gpid = m.guests.vm[vm, at.BASE] + ppn
    m.files.cached[page] = ppn + 1
    m.files.origin[gpid] = page + 1
    m.files.rules[vm, CACHED] += 1
    drop_mark(m, vm, place_of_file_page(m, page))
    note_candidate(m, vm, gpid)
    clear_accessed(m.paging.guest, gpid)


@kernel
def forget_cached(m, row, vm, gpid):
    """Take a page that nobody maps out of the cache; it is left to the caller."""
    page = np.int64(m.files.origin[gpid]) - 1
    m.files.cached[page] = 0
    m.files.dirtied[page] = 0
    m.files.origin[gpid] = 0
    m.files.rules[vm, CACHED] -= 1
    m.counters[row, Event.CACHE_DROPS] += 1


@part
def read_file(m, core, vcpu, event, times):
    """Let the loaded process read the event's pages; return the cycles."""
    vm, row = m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.ROW]
    pages = m.work.events[event, work.EVENT_PAGES]
    exits = np.int64(0)
    for number in range(pages):
        m.host.counts[at.PROMISED] = pages - number  # nothing is read along into what these will take
        page = nth_file_page(m, vm, event, times, number)
        if not look_up(m, row, page):
            exits += fetch(m, core, vcpu, page, pages - number)
        exits += gpa_access(m, core, vcpu, _use(m, vm, page))
    m.host.counts[at.PROMISED] = 0
    return _charge_copies(m, row, pages) + exits


@part
def write_file(m, core, vcpu, event, times):
    """Let the loaded process write over the event's pages, which need not be read for that; return the cycles."""
    vm, row = m.vcpu[vcpu, at.VM], m.vcpu[vcpu, at.ROW]
    pages = m.work.events[event, work.EVENT_PAGES]
    exits = np.int64(0)
    for number in range(pages):
        m.host.counts[at.PROMISED] = pages - number  # nothing is read along into what these will take
        page = nth_file_page(m, vm, event, times, number)
        if not look_up(m, row, page):
            note_cached(m, vm, page, page_take(m, vm))
        exits += gpa_overwrite(m, core, vcpu, _use(m, vm, page))
        note_dirty(m, vm, page)
    m.host.counts[at.PROMISED] = 0
    return _charge_copies(m, row, pages) + exits


@part
def pages_to_cache(m, vcpu, event, times):
    """Return (how many of the event's pages are missing, how many are there without a frame of the host's)."""
    vm = m.vcpu[vcpu, at.VM]
    missing = unbacked = np.int64(0)
    for number in range(m.work.events[event, work.EVENT_PAGES]):
        ppn = cached_ppn(m, nth_file_page(m, vm, event, times, number))
        missing += ppn < 0
        if ppn >= 0:
            unbacked += not is_backed(m, vm, ppn)
    return missing, unbacked


@kernel
def nth_file_page(m, vm, event, times, number):
    """Return the n-th of the pages of a file that an event concerns when it happens for the (times + 1)-th time."""
    row = file_row(m, vm, m.work.events[event, work.EVENT_FILE])
    place = (times * m.work.events[event, work.EVENT_PAGES] + number) % m.files.file[row, PAGES]
    return m.files.file[row, FIRST] + place


@kernel
def _charge_copies(m, row, pages):
    cycles = pages * m.cost[at.COPY_PAGE]
    m.counters[row, Event.GUEST_CYCLES] += cycles
    return cycles


@kernel
def _use(m, vm, page):
    """Note that a page in the cache has been accessed; return its PPN."""
    ppn = cached_ppn(m, page)
    note_use_of(m, vm, m.guests.vm[vm, at.BASE] + ppn)
    return ppn


@kernel
def _can_spare(m, vm, keep):
    """Tell whether guest and host have a page to spare for what is read ahead."""
    guest = m.guests.vm
    has_page = guest[vm, at.GUEST_FREE] > keep + guest[vm, at.GUEST_MIN] // 2
    spare = m.files.rules[vm, SPARE]
    return has_page and (spare == 0 or m.host.counts[at.FRAME_FREE] >= spare + m.host.counts[at.PROMISED])
