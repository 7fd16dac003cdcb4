"""Write-back: what the guest's kernel does every few seconds about pages of files that are dirty.

It first looks at the page tables, for stores leave nothing but D there. Then it writes what has been dirty for so many
turns, oldest first, neighbours with one request. A written page stays in the cache and is clean: its leaves lose D, and
are flushed, so that the next store is seen again. The disk reads the page past all TLBs, which may meet the host's
paging; what the host lacks for that, it frees before the kernel goes on.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.data_pages import note_dirty
from vmcfg.guest.unmapping import clean_everywhere, dirty_leaf
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import OLD_TURNS, OWN_END, OWN_FIRST, TURNS, transfer_file
from vmcfg.vmm.images import note_equal
from vmcfg.vmm.verbs import gpa_access

DONE, LACKS_FRAMES = range(2)


@entry
def write_back(machine, vm, is_new):
    """Let a VM's kernel take a turn, or go on with one. Returns DONE, or LACKS_FRAMES if the host must free some."""
    m = by_reference(machine)
    vcpu = m.guests.vm[vm, at.FIRST_VCPU]
    core = vcpu % m.sched[at.CORES]
    waits = m.vcpu[vcpu, at.WAITS_UNTIL]
    if is_new:
        _look(m, vm)
        m.files.rules[vm, TURNS] += 1
    last = m.files.rules[vm, TURNS] - m.files.rules[vm, OLD_TURNS]
    why = np.int64(DONE)
    oldest = _oldest(m, vm)
    while why == DONE and 0 < oldest <= last:
        why = _write_all(m, core, vcpu, oldest)
        oldest = _oldest(m, vm)
    m.vcpu[vcpu, at.WAITS_UNTIL] = waits  # it was the kernel that waited, and not what the vCPU runs
    return why


@kernel
def _look(m, vm):
    """Note the pages that stores have made dirty."""
    base = m.guests.vm[vm, at.BASE]
    for page in range(m.files.rules[vm, OWN_FIRST], m.files.rules[vm, OWN_END]):
        if m.files.cached[page]:
            leaf, _, _ = dirty_leaf(m, vm, base + np.int64(m.files.cached[page]) - 1, m.guests.vm[vm, at.FIRST_PROCESS])
            if leaf >= 0:
                note_dirty(m, vm, np.int64(page))


@kernel
def _oldest(m, vm):
    """Return the turn since which a page of a VM's files is dirty that is so for the longest time, or 0."""
    oldest = np.int64(0)
    for page in range(m.files.rules[vm, OWN_FIRST], m.files.rules[vm, OWN_END]):
        turn = np.int64(m.files.dirtied[page])
        if turn and (oldest == 0 or turn < oldest):
            oldest = turn
    return oldest


@part
def _write_all(m, core, vcpu, turn):
    """Write the pages that are dirty since a turn, in the order of their numbers."""
    vm = m.vcpu[vcpu, at.VM]
    first = following = np.int64(0)
    why = np.int64(DONE)
    for page in range(m.files.rules[vm, OWN_FIRST], m.files.rules[vm, OWN_END]):
        if m.files.dirtied[page] == turn:
            if m.host.counts[at.FRAME_FREE] < m.host.counts[at.RESERVE]:
                m.host.counts[at.WANTED] = m.host.counts[at.RESERVE]
                why = np.int64(LACKS_FRAMES)
                break
            if page != following:
                _write(m, core, vcpu, first, following)
                first = np.int64(page)
            following = np.int64(page + 1)
            _hand_over(m, core, vcpu, np.int64(page))
    _write(m, core, vcpu, first, following)
    return why


@kernel
def _hand_over(m, core, vcpu, page):
    """Clean a page in the cache and let the disk read it."""
    ppn = np.int64(m.files.cached[page]) - 1
    gpid = m.guests.vm[m.vcpu[vcpu, at.VM], at.BASE] + ppn
    m.core[core, at.CLOCK] += clean_everywhere(m, core, vcpu, gpid)
    m.core[core, at.CLOCK] += gpa_access(m, core, vcpu, ppn)
    m.files.dirtied[page] = 0
    note_equal(m, gpid, page)


@kernel
def _write(m, core, vcpu, first, following):
    """Write the pages from `first` up to `following`, if there are any, once the host has read them."""
    if following > first:
        now = max(m.core[core, at.CLOCK], m.vcpu[vcpu, at.WAITS_UNTIL])
        transfer_file(m, m.vcpu[vcpu, at.VM], now, first, following - first, np.int64(1))
        m.counters[m.vcpu[vcpu, at.ROW], Event.FILE_PAGES_WRITTEN] += following - first
