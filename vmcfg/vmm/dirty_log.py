"""Which guest pages have been modified: D of a page that goes from 0 to 1, written down by one of two ways.

    by PML               the processor writes the page into the vCPU's log, and exits when that is full (`mmu.pml`)
    by write protection  a page without D may not be written: the first write exits, and the VMM sets D itself

D of a page in the host's table says that it has been modified since the VMM asked last, or since the run began. Walks
set it, and where the VMM asks at all (`mmu.dirty_log`) what the guest's kernel writes past the walks does too: pages
that it zeroes or copies, and its page tables. A device, which the VMM itself plays, marks what it writes.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import HOST, fold
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Exit
from vmcfg.vmm import machine as at

BY_PML, BY_WRITE_PROTECTION = 1, 2  # cost[LOGGING], 0 where nobody asks
NO_EXIT = -1  # the reason of none
MARKS = at.HOST_ACCESSED | at.HOST_DIRTY


@part
def must_exit(m, vcpu, is_clean):
    """Tell whether the VMM must be asked before A or D of a page may be set, D if the page `is_clean` of it.

    By PML because the log has no room; for write protection it is the write that matters.
    """
    if m.cost[at.LOGGING] == BY_WRITE_PROTECTION:
        return is_clean
    return is_log_full(m, vcpu)


@kernel
def is_log_full(m, vcpu):
    """Tell whether the log has no room; then neither A nor D may be set."""
    return m.vcpu[vcpu, at.LOG_INDEX] < 0


@part
def log_page(m, vcpu, gpid):
    """Write down that D of a page has been set. The caller has made sure that there is room."""
    assert m.vcpu[vcpu, at.LOG_INDEX] >= 0
    m.vcpu[vcpu, at.LOG_INDEX] -= 1
    m.counters[m.vcpu[vcpu, at.ROW], Event.PAGES_LOGGED] += 1
    fold(m.digest, HOST, gpid)


@kernel
def empty_log(m, vcpu):
    """Empty a vCPU's log; return how many entries were in it."""
    entries = at.LOG_ENTRIES - 1 - m.vcpu[vcpu, at.LOG_INDEX]
    m.vcpu[vcpu, at.LOG_INDEX] = at.LOG_ENTRIES - 1
    return entries


@part
def note_write(m, vcpu, gpid, is_by_device, is_fresh):
    """Note that a page with a frame is written past the walks; return the reason of the exit that it takes, or NO_EXIT.

    A page that got its frame for this very write `is_fresh`: that was an exit already, and the VMM knows.
    """
    if m.host.pmap[gpid] & at.HOST_DIRTY:
        return np.int64(NO_EXIT)
    m.host.pmap[gpid] |= MARKS
    is_protected = m.cost[at.LOGGING] == BY_WRITE_PROTECTION
    if is_by_device or (is_fresh and is_protected):
        m.counters[m.vcpu[vcpu, at.ROW], Event.PAGES_MARKED] += 1
        fold(m.digest, HOST, gpid)
        return np.int64(NO_EXIT)
    if is_protected:
        return lift_protection(m, vcpu, gpid)
    reason = np.int64(Exit.PML_FULL if is_log_full(m, vcpu) else NO_EXIT)
    if reason == Exit.PML_FULL:
        empty_log(m, vcpu)
    log_page(m, vcpu, gpid)
    return reason


@kernel
def lift_protection(m, vcpu, gpid):
    """Let a page be written until the VMM asks again; return the reason of the exit that led here."""
    m.host.pmap[gpid] |= MARKS
    m.counters[m.vcpu[vcpu, at.ROW], Event.PAGES_LOGGED] += 1
    fold(m.digest, HOST, gpid)
    return np.int64(Exit.WRITE_PROTECTED)


@kernel
def clear_dirty(m, vm):
    """Clear D of all pages of a VM; return how many had it. `invalidate` must follow if any had."""
    base = m.guests.vm[vm, at.BASE]
    pages = np.int64(0)
    for gpid in range(base, base + m.guests.vm[vm, at.PAGES]):
        if m.host.pmap[gpid] & at.HOST_DIRTY:
            m.host.pmap[gpid] &= ~np.int64(at.HOST_DIRTY)
            pages += 1
    return pages
