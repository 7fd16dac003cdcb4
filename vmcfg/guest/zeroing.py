"""Guests that zero memory nobody has asked for: all of it at boot, and what was freed, by a thread of its own.

Windows does both, Linux neither. For the host the difference is large. A guest that zeroes at boot touches every page
that it was configured with before its first program runs, and before its balloon driver does: a host that has promised
more than it has is short at once. A thread that zeroes freed pages touches what a balloon has just given back, and what
the host has paged out meanwhile it must read in, only to have it overwritten.

Pages are written as a whole, by guest-physical address. At boot these are all but the kernel's and those that hold page
tables, in order. The thread takes single free pages that were freed, first in first out, as long as nobody takes them;
whether a free page is zero already spares a page fault nothing.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.mapping import charge_guest
from vmcfg.jit import by_reference, entry, kernel
from vmcfg.metrics.events import Event
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import gpa_overwrite


@entry
def zero_at_boot(machine, vm, first, end, until):
    """Zero the pages first … end - 1 of a VM, as far as its core's clock is before `until` and frames suffice.

    Returns the page to go on with.
    """
    m = by_reference(machine)
    vcpu = m.guests.vm[vm, at.FIRST_VCPU]
    waits = m.vcpu[vcpu, at.WAITS_UNTIL]
    while first < end and _may_go_on(m, vcpu, until):
        if m.host.pmap[m.guests.vm[vm, at.BASE] + first] & at.IS_TABLE == 0:
            _zero(m, vcpu, np.int64(first), Event.BOOT_ZEROED_PAGES)
        first += 1
    m.vcpu[vcpu, at.WAITS_UNTIL] = waits  # nobody's touch has to wait for it
    return first


@entry
def zero_freed(machine, vm, most, until):
    """Zero up to `most` freed pages of a VM that are still free, likewise. Returns how many are left of these."""
    m = by_reference(machine)
    guest = m.guests.vm
    vcpu = guest[vm, at.FIRST_VCPU]
    waits = m.vcpu[vcpu, at.WAITS_UNTIL]
    left = min(np.int64(most), guest[vm, at.GUEST_TOP] - guest[vm, at.ZEROED])
    while left > 0 and _may_go_on(m, vcpu, until):
        ppn = np.int64(m.guests.free_list[guest[vm, at.BASE] + guest[vm, at.ZEROED]])
        _zero(m, vcpu, ppn, Event.FREED_ZEROED_PAGES)
        guest[vm, at.ZEROED] += 1
        left -= 1
    m.vcpu[vcpu, at.WAITS_UNTIL] = waits
    return left


@kernel
def _may_go_on(m, vcpu, until):
    m.host.counts[at.WANTED] = m.host.counts[at.RESERVE]
    has_frames = m.host.counts[at.FRAME_FREE] >= m.host.counts[at.RESERVE]
    return has_frames and m.core[vcpu % m.sched[at.CORES], at.CLOCK] < until


@kernel
def _zero(m, vcpu, ppn, event):
    core = vcpu % m.sched[at.CORES]
    m.counters[m.vcpu[vcpu, at.ROW], event] += 1
    m.core[core, at.CLOCK] += gpa_overwrite(m, core, vcpu, ppn) + charge_guest(m, vcpu, m.cost[at.ZERO_PAGE])
