"""The balloon driver: a part of the guest's kernel that takes memory from its own guest and gives it to the host.

Why a driver in the guest: the host must choose a VM *and* a page, and only the guest knows which pages matter. So the
host names a number, and the guest's own allocator and replacement find the pages (Waldspurger, OSDI 2002, section 3.2).
Free pages go first, then what the guest pages out to its own swap area. A driver that is asked for more than that has
its guest run out of memory, for its allocation is one like any other.

The driver asks for its target once per second. It inflates as the open-source Linux driver does: up to 16,384 pages at
a time while free memory lasts, for that costs the guest nothing; beyond that, 512 to 2,048 pages that the guest must
reclaim. There an allocation sleeps until the guest has a page, and fails only if it has none left to reclaim: that its
disk takes a while is no failure. So all that the rate allows, found by reclaim and free or on its way to the disk, is a
success, and the rate grows; while the driver sleeps for what is on its way it takes what comes, and asks for no more.
Pages are reported to the host, which takes their frames and flushes once for all of them. What had no frame wins none:
a balloon over an idle guest wins little.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.pages import page_free, page_take
from vmcfg.guest.reclaim import NO_FRAMES, NOTHING_LEFT, WAITS, collect_written, free_pages
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event, Exit
from vmcfg.vmm import machine as at
from vmcfg.vmm.balloon import mark_ballooned, unmark_ballooned
from vmcfg.vmm.verbs import gpa_overwrite, invalidate, is_backed, unback, vm_exit

MOST_AT_ONCE = 16384  # pages of one poll that cost the guest nothing
SLOWEST, FASTEST, FASTER = 512, 2048, 16  # pages of one poll that the guest has to reclaim, and how that grows


@entry
def poll(machine, vm, target):
    """Let a VM's driver move its balloon towards `target` pages.

    Returns 0; NO_FRAMES if the host must free some; or NOTHING_LEFT if the guest has to end a process for it.
    """
    m = by_reference(machine)
    guest = m.guests.vm
    vcpu = guest[vm, at.FIRST_VCPU]
    core = vcpu % m.sched[at.CORES]
    waits = m.vcpu[vcpu, at.WAITS_UNTIL]
    _hear_of_pop(m, vm)
    if guest[vm, at.RECLAIMS]:
        collect_written(m, vm, m.core[core, at.CLOCK])
    why = np.int64(0)
    if guest[vm, at.BALLOON_PAGES] > target:
        deflate(m, vcpu, vm, min(guest[vm, at.BALLOON_PAGES] - target, np.int64(MOST_AT_ONCE)))
    elif guest[vm, at.BALLOON_PAGES] < target:
        why = _grow(m, core, vcpu, vm, target - guest[vm, at.BALLOON_PAGES])
    m.vcpu[vcpu, at.WAITS_UNTIL] = waits  # it was the driver that waited, and not what the vCPU runs
    return why


@entry
def touch_balloon(machine, vm, touched):
    """Let a guest that knows nothing of its balloon write to all of it, as at a crash or a boot; the balloon pops.

    The first pages were `touched` before. Returns how many are now: fewer than all if the host must free frames first.
    """
    m = by_reference(machine)
    vcpu = m.guests.vm[vm, at.FIRST_VCPU]
    core = vcpu % m.sched[at.CORES]
    base = m.guests.vm[vm, at.BASE]
    m.host.counts[at.WANTED] = m.host.counts[at.RESERVE]
    while touched < m.guests.vm[vm, at.BALLOON_PAGES] and m.host.counts[at.FRAME_FREE] >= m.host.counts[at.RESERVE]:
        m.core[core, at.CLOCK] += gpa_overwrite(m, core, vcpu, np.int64(m.guests.balloon[base + touched]))
        touched += 1
    return touched


@part
def inflate(m, core, vcpu, vm, pages):
    """Put so many free pages of the guest into the balloon; the host takes their frames."""
    base = m.guests.vm[vm, at.BASE]
    row = m.vcpu[vcpu, at.ROW]
    won = np.int64(0)
    for _ in range(pages):
        ppn = page_take(m, vm)
        if is_backed(m, vm, ppn):
            unback(m, vm, ppn)
            won += 1
        mark_ballooned(m, vm, row, base + ppn)
        m.guests.balloon[base + m.guests.vm[vm, at.BALLOON_PAGES]] = ppn
        m.guests.vm[vm, at.BALLOON_PAGES] += 1
    m.counters[row, Event.BALLOON_INFLATED] += pages
    m.counters[row, Event.BALLOON_FRAMES_WON] += won
    flushing = invalidate(m, vm) if won else np.int64(0)
    m.core[core, at.CLOCK] += vm_exit(m, core, vcpu, Exit.BALLOON, flushing)


@part
def deflate(m, vcpu, vm, pages):
    """Give the guest so many pages of the balloon back; frames come when they are touched."""
    base = m.guests.vm[vm, at.BASE]
    for _ in range(pages):
        m.guests.vm[vm, at.BALLOON_PAGES] -= 1
        ppn = np.int64(m.guests.balloon[base + m.guests.vm[vm, at.BALLOON_PAGES]])
        unmark_ballooned(m, base + ppn)
        page_free(m, vm, ppn)
    m.counters[m.vcpu[vcpu, at.ROW], Event.BALLOON_DEFLATED] += pages


@kernel
def _hear_of_pop(m, vm):
    """Begin anew with an empty balloon, if the host has popped it."""
    if m.guests.vm[vm, at.IS_POPPED]:
        m.guests.vm[vm, at.IS_POPPED] = 0
        deflate(m, m.guests.vm[vm, at.FIRST_VCPU], vm, m.guests.vm[vm, at.BALLOON_PAGES])


@kernel
def _grow(m, core, vcpu, vm, wanted):
    """Inflate by up to `wanted` pages: what is free, then what the guest can reclaim at the rate that it bears."""
    guest = m.guests.vm
    spare = max(np.int64(0), guest[vm, at.GUEST_FREE] - guest[vm, at.GUEST_MIN])
    free = min(min(wanted, np.int64(MOST_AT_ONCE)), spare)
    if free:
        inflate(m, core, vcpu, vm, free)
    left = min(wanted, np.int64(MOST_AT_ONCE)) - free
    if left == 0 or m.core[core, at.CLOCK] < guest[vm, at.BALLOON_SLEEPS]:
        return np.int64(0)
    if guest[vm, at.RECLAIMS] == 0:
        return np.int64(NOTHING_LEFT * guest[vm, at.KILLS])
    asked = min(left, guest[vm, at.BALLOON_RATE])
    guest[vm, at.GUEST_WANTED] = asked + guest[vm, at.GUEST_MIN]
    why = free_pages(m, core, vcpu)
    made = min(asked, max(np.int64(0), guest[vm, at.GUEST_FREE] - guest[vm, at.GUEST_MIN]))
    if made:
        inflate(m, core, vcpu, vm, made)
    if why == NO_FRAMES:
        return np.int64(NO_FRAMES)  # the guest was not heard to the end, and this says nothing of it
    guest[vm, at.BALLOON_SLEEPS] = m.vcpu[vcpu, at.WAITS_UNTIL] if why == WAITS else np.int64(0)
    adapt(m, vm, asked, why != NOTHING_LEFT)
    return np.int64(why if why == NOTHING_LEFT and guest[vm, at.KILLS] else 0)


@kernel
def adapt(m, vm, asked, is_success):
    """Let a balloon grow by more pages that the guest has to reclaim, or by half as many after a failure.

    A success that was not `asked` for as much as the rate allows changes nothing: it does not say what the guest bears.
    """
    rate = m.guests.vm[vm, at.BALLOON_RATE]
    if not is_success:
        rate = rate // 2
    elif asked == rate:
        rate += FASTER
    m.guests.vm[vm, at.BALLOON_RATE] = min(max(rate, np.int64(SLOWEST)), np.int64(FASTEST))
