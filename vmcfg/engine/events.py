"""Guest events: what the guest's kernel does from time to time, right after the touch at which it is due.

What the VMM does from time to time to a guest's memory, to promote its pages, is an event of the same kind.

They are an entry of their own, not a part of the loop, which would else carry a whole kernel's code: most hosts have no
events, and need not wait until it is compiled. The loop calls it by its address (`engine.answers`).
"""

from __future__ import annotations

import numpy as np

from vmcfg.engine.answers import kernel_access
from vmcfg.engine.power import end_vcpus
from vmcfg.engine.room import DONE, NEED_FRAMES, NEED_GUEST_PAGES, lacks_pages_of_guest
from vmcfg.guest import mapping, page_cache, power, processes
from vmcfg.guest.collapsing import collapse_ranges
from vmcfg.guest.flushing import flush
from vmcfg.guest.pages import unbacked_among_next
from vmcfg.guest.switching import change_view
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.privileged import leave_kernel
from vmcfg.mmu.walks import kernel_vpn
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import READ_AHEAD, SPARE
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.machine import FRAME_FREE
from vmcfg.vmm.paging import PAGES
from vmcfg.vmm.promotion import promote_blocks
from vmcfg.workload import fields as work

FILE_KINDS = (work.READ_FILE, work.WRITE_FILE)
MOST_SPLITS = 8  # of large pages, by one event: at both ends of two stretches of pages, from 1 GiB down to 4 KiB


@entry
def handle(machine, core):
    """Let everything happen that is due at the head of a core's queue: see `handle_events`."""
    m = by_reference(machine)
    return handle_events(m, core, np.int64(m.queue[core, 0]))


@part
def handle_events(m, core, vcpu):
    """Let everything happen that is due after the touch just retired. Returns DONE or what is short.

    What is short stops before the event that wants it; called again, it goes on there.
    """
    phase = m.vcpu[vcpu, at.PHASE]
    first = m.work.phases[phase, work.FIRST_EVENT]
    for number in range(m.work.phases[phase, work.EVENTS]):
        if _is_due(m, vcpu, number, first + number, m.core[core, at.CLOCK]):
            times = m.work.due[vcpu, number * work.DUE_FIELDS + work.DUE_TIMES]
            why = _shortage(m, vcpu, first + number, times)
            if why != DONE:
                return why
            _set_next(m, vcpu, number, first + number)
            m.host.counts[at.PROMISED] = _frames_for(m, m.vcpu[vcpu, at.VM], _most_pages(m, vcpu, first + number))
            m.core[core, at.CLOCK] += _happen(m, core, vcpu, first + number, times)
            m.host.counts[at.PROMISED] = 0
            m.core[core, at.CLOCK] += leave_kernel(m, core, vcpu)
            m.marks[m.vcpu[vcpu, at.MARK], at.ENDED] = m.core[core, at.CLOCK]
            if m.guests.vm[m.vcpu[vcpu, at.VM], at.IS_OFF]:
                end_vcpus(m, vcpu)
                return DONE
    _find_next(m, vcpu, m.core[core, at.CLOCK])
    return DONE


@kernel
def _happen(m, core, vcpu, event, times):
    """Let an event happen for the (times + 1)-th time; return its cycles."""
    kind = m.work.events[event, work.EVENT_KIND]
    if kind == work.CONTEXT_SWITCH:
        return processes.switch(m, core, vcpu)
    if kind == work.COLLAPSE:
        return collapse_ranges(m, core, vcpu, event, times)
    if kind == work.FLUSH:
        return flush(m, core, vcpu, event, times)
    if kind == work.PROMOTE:
        return _promote(m, core, vcpu, event, times)
    if kind == work.POWER_OFF:
        return power.power_off(m, core, vcpu)
    if kind == work.REBOOT:
        return power.reboot(m, core, vcpu)
    if kind == work.EXIT and not processes.may_leave(m, vcpu):
        return np.int64(0)
    m.counters[m.vcpu[vcpu, at.ROW], Event.SYSTEM_CALLS] += 1
    cycles = mapping.charge_guest(m, vcpu, m.cost[at.SYSCALL]) + change_view(m, core, vcpu, 1)
    if kind == work.SYSCALL:
        cycles += _read_kernel(m, core, vcpu, event)
    elif kind == work.MMAP:
        cycles += mapping.mmap(m, core, vcpu, event, times)
    elif kind == work.MUNMAP:
        cycles += mapping.munmap(m, core, vcpu, event, times)
    elif kind == work.MPROTECT:
        cycles += mapping.mprotect(m, core, vcpu, event, times)
    elif kind == work.FORK:
        cycles += processes.fork(m, core, vcpu)
    elif kind == work.EXEC:
        cycles += processes.execute(m, core, vcpu)
    elif kind == work.READ_FILE:
        cycles += page_cache.read_file(m, core, vcpu, event, times)
    elif kind == work.WRITE_FILE:
        cycles += page_cache.write_file(m, core, vcpu, event, times)
    else:
        cycles += processes.leave(m, core, vcpu)
    return cycles + change_view(m, core, vcpu, 0)


@kernel
def _promote(m, core, vcpu, event, times):
    """Let the VMM look at the memory of a VM, once for all of its vCPUs; return the cycles."""
    if m.vcpu[vcpu, at.ORDINAL]:
        return np.int64(0)
    fields = m.work.events
    blocks, max_absent = fields[event, work.EVENT_PAGES], fields[event, work.EVENT_MAX_ABSENT]
    return promote_blocks(m, core, vcpu, blocks, max_absent, times)


@kernel
def _read_kernel(m, core, vcpu, event):
    """Load from the kernel's next few pages, round its memory; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    cycles = np.int64(0)
    for _ in range(m.work.events[event, work.EVENT_KERNEL_PAGES]):
        page = m.vcpu[vcpu, at.KERNEL_NEXT] % m.guests.vm[vm, at.KERNEL_PAGES]
        m.vcpu[vcpu, at.KERNEL_NEXT] += 1
        vpn = kernel_vpn(m.guests.vm[vm, at.LEVELS]) + page
        cycles += kernel_access(m, core, vcpu, vpn)
    return cycles


@kernel
def _is_due(m, vcpu, number, event, clock):
    due = number * work.DUE_FIELDS
    reached = clock if m.work.events[event, work.IS_TIMED] else m.vcpu[vcpu, at.RETIRED]
    has_waited = m.vcpu[vcpu, at.RETIRED] >= m.work.due[vcpu, due + work.DUE_TOUCH]
    return has_waited and reached >= m.work.due[vcpu, due + work.DUE_AT]


@kernel
def _set_next(m, vcpu, number, event):
    """Count an event, and set when it is due again: not before the next touch."""
    due, first = m.work.due, number * work.DUE_FIELDS
    divisor = m.work.events[event, work.EVERY_DIVISOR]
    due[vcpu, first + work.DUE_TIMES] += 1
    due[vcpu, first + work.DUE_TOUCH] = m.vcpu[vcpu, at.RETIRED] + 1
    due[vcpu, first + work.DUE_AT] += m.work.events[event, work.EVERY] // divisor
    due[vcpu, first + work.DUE_REMAINDER] += m.work.events[event, work.EVERY] % divisor
    if due[vcpu, first + work.DUE_REMAINDER] >= divisor:
        due[vcpu, first + work.DUE_REMAINDER] -= divisor
        due[vcpu, first + work.DUE_AT] += 1


@part
def schedule_events(m, vcpu, clock):
    """Begin the schedule of the phase's events at this touch, and at this time."""
    phase = m.vcpu[vcpu, at.PHASE]
    for number in range(m.work.phases[phase, work.EVENTS]):
        event = m.work.phases[phase, work.FIRST_EVENT] + number
        first = number * work.DUE_FIELDS
        now = clock if m.work.events[event, work.IS_TIMED] else m.vcpu[vcpu, at.RETIRED]
        m.work.due[vcpu, first + work.DUE_AT] = now
        m.work.due[vcpu, first + work.DUE_REMAINDER] = 0
        _set_next(m, vcpu, number, event)
        m.work.due[vcpu, first + work.DUE_TIMES] = 0
    _find_next(m, vcpu, clock)


@kernel
def _find_next(m, vcpu, clock):
    """Note after which touch something is due next, and after what time; what is late waits for the next touch."""
    v = m.vcpu
    v[vcpu, at.EVENT_TOUCH] = v[vcpu, at.EVENT_TIME] = at.UNLIMITED
    for number in range(m.work.phases[v[vcpu, at.PHASE], work.EVENTS]):
        is_timed = m.work.events[m.work.phases[v[vcpu, at.PHASE], work.FIRST_EVENT] + number, work.IS_TIMED]
        due = m.work.due[vcpu, number * work.DUE_FIELDS + work.DUE_AT]
        if is_timed and due > clock:
            v[vcpu, at.EVENT_TIME] = min(v[vcpu, at.EVENT_TIME], due)
        else:
            v[vcpu, at.EVENT_TOUCH] = min(v[vcpu, at.EVENT_TOUCH], v[vcpu, at.RETIRED] + 1 if is_timed else due)


@kernel
def _shortage(m, vcpu, event, times):
    """Decide, before an event begins, whether the pages and frames that it takes are there; DONE or what is short.

    A bound settles it where there is plenty, else a pure look at the tables decides. Meanwhile nothing is read along
    into what is promised to it.
    """
    vm = m.vcpu[vcpu, at.VM]
    kind = m.work.events[event, work.EVENT_KIND]
    if kind == work.POWER_OFF:
        return DONE
    if kind in FILE_KINDS:
        return _shortage_of_cache(m, vcpu, event, times)
    if kind == work.REBOOT:
        return _lacks_frames(m, _frames_for(m, vm, power.unbacked_roots(m, vm)) + _shadows_for(m, event))
    most = _most_pages(m, vcpu, event)
    shadows = _shadows_for(m, event)
    frames = max(most + shadows if shadows else shadows, most * m.guests.vm[vm, at.HOST_LEVELS])
    if most > m.guests.vm[vm, at.GUEST_FREE] or m.host.counts[FRAME_FREE] < frames:
        return _exact_shortage(m, vcpu, event, times, most, shadows)
    return DONE


@kernel
def _most_pages(m, vcpu, event):
    """Bound the guest pages that an event takes, but one that is about a file.

    Every page of an mmap with tables of its own, a fork with as many tables as all processes of the guest have now.
    """
    vm = m.vcpu[vcpu, at.VM]
    kind = m.work.events[event, work.EVENT_KIND]
    if kind == work.MMAP:
        return mapping.most_to_map(m, vcpu, event)
    if (kind == work.MUNMAP or kind == work.MPROTECT) and m.cost[at.HAS_LARGE_PAGES]:
        return np.int64(MOST_SPLITS)
    if kind == work.COLLAPSE:
        return 2 * at.TABLE_ENTRIES * m.work.events[event, work.EVENT_PAGES]  # of the ranges, and of blocks for them
    if kind == work.FORK:
        return m.guests.vm[vm, at.TABLE_PAGES] + 2
    if kind == work.EXEC:
        return 1 + m.guests.vm[vm, at.HAS_KPTI]
    if kind == work.REBOOT:
        return power.roots_at_start(m, vm)
    return np.int64(0)


@part
def _shortage_of_cache(m, vcpu, event, times):
    """The same for a file that is read or written: with frames for what is read ahead, where the host can make some."""
    vm = m.vcpu[vcpu, at.VM]
    missing, unbacked = page_cache.pages_to_cache(m, vcpu, event, times)
    if lacks_pages_of_guest(m, vm, missing):
        return NEED_GUEST_PAGES
    frames = _frames_for(m, vm, unbacked + unbacked_among_next(m, vm, missing))
    if missing and m.paging.rules[PAGES]:
        frames += m.files.rules[vm, SPARE] + m.files.rules[vm, READ_AHEAD]
    return _lacks_frames(m, frames)


@kernel
def _shadows_for(m, event):
    """Return how many shadow pages any event may come to need: one for each table of kernel memory, and a reserve."""
    if m.cost[at.MODE] != at.SHADOW:
        return np.int64(0)
    return m.host.counts[at.RESERVE] + m.work.events[event, work.EVENT_KERNEL_PAGES] // at.TABLE_ENTRIES


@kernel
def _lacks_frames(m, frames):
    """Tell whether so many frames are free: DONE, or NEED_FRAMES."""
    if m.host.counts[FRAME_FREE] < frames:
        m.host.counts[at.WANTED] = frames
        return NEED_FRAMES
    return DONE


@part
def _exact_shortage(m, vcpu, event, times, most, shadows):
    """The same for one that takes `most` guest pages or fewer; one without a frame may need tables of the host, too."""
    vm = m.vcpu[vcpu, at.VM]
    kind = m.work.events[event, work.EVENT_KIND]
    pages, unbacked = most, np.int64(0)
    bits = at.PRESENT | at.WRITABLE * (kind == work.MPROTECT and m.work.events[event, work.EVENT_WRITABLE] == 0)
    if kind == work.MMAP:
        pages = mapping.pages_to_map(m, vcpu, event, times)
    elif kind == work.FORK:
        pages, unbacked = processes.pages_to_fork(m, vcpu)
    elif kind == work.MUNMAP or kind == work.MPROTECT:
        pages = mapping.pages_to_split(m, vcpu, event, times, bits)
    if kind != work.COLLAPSE and lacks_pages_of_guest(m, vm, pages):
        return NEED_GUEST_PAGES
    unbacked += unbacked_among_next(m, vm, pages)
    return _lacks_frames(m, _frames_for(m, vm, unbacked) + shadows)


@kernel
def _frames_for(m, vm, pages):
    """Return how many frames so many pages without one can take: tables of the host too, but no more than there are."""
    tables = np.int64(0)
    for level in range(2, m.guests.vm[vm, at.HOST_LEVELS] + 1):
        tables += min(pages, (m.guests.vm[vm, at.PAGES] - 1) // pages_below(level) + 1)
    return pages + tables if m.guests.vm[vm, at.HOST_LEVELS] or m.cost[at.MODE] == at.SHADOW else np.int64(0)
