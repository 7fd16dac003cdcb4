"""The guest's own reclaim: what its kernel does when its free memory falls below a watermark.

It decides on guest-physical pages and knows nothing of the host. Its replacement policy looks at A bits of its own page
tables, and has its own order. So host and guest may both think that a page is cold: the host pages it out, and some
time later the guest does, for which the host must read it first (*double paging*).

A victim is unmapped from every process that maps it, flushed, and written to the guest's swap area, in one request with
its neighbours. The page is free when the disk is done. Who needs memory meanwhile takes what is left below the
watermark, and waits when that is gone.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import leaf_slot
from vmcfg.guest.data_pages import home_of
from vmcfg.guest.mapping import charge_guest
from vmcfg.guest.pages import page_free
from vmcfg.guest.swapping import swap_entry
from vmcfg.guest.switching import invalidate_for
from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.tables import entry_settled, gpt_write
from vmcfg.mmu.walks import page_of
from vmcfg.reclaim.layer import RESIDENT
from vmcfg.reclaim.replacement import victim
from vmcfg.vmm import machine as at
from vmcfg.vmm.paging import is_swapped
from vmcfg.vmm.swap import (
    FLIGHTS,
    NO_SLOT,
    area_of,
    flying,
    has_landed,
    is_full,
    land,
    launch,
    slot_count,
    slot_take,
    when_landed,
    write_launched,
)
from vmcfg.vmm.verbs import gpa_access

ENOUGH, WAITS, NOTHING_LEFT, NO_FRAMES = range(4)  # what `make_free` comes to
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
    if missing > flying(m, area):
        return NOTHING_LEFT
    m.vcpu[vcpu, at.WAITS_UNTIL] = max(m.vcpu[vcpu, at.WAITS_UNTIL], when_landed(m, area, missing))
    return WAITS


@kernel
def collect_written(m, vm, now):
    """Free the pages that have reached the guest's disk."""
    while has_landed(m, area_of(vm), now):
        page_free(m, vm, land(m, area_of(vm)))


@part
def page_out(m, core, vcpu):
    """Page a batch of a guest's pages out to its own swap area; return how many."""
    first = following = count = np.int64(0)
    while count < BATCH:
        slot = _send_out(m, core, vcpu)
        if slot == NO_SLOT:
            break
        if slot != following or count == 0:
            _write(m, core, vcpu, first, following)
            first = slot
        following = slot + 1
        count += 1
    _write(m, core, vcpu, first, following)
    m.counters[m.vcpu[vcpu, at.ROW], Event.GUEST_PAGE_OUTS] += count
    return count


@part
def can_reclaim(m, vm):
    """Tell whether a guest could page anything out now."""
    if m.guests.vm[vm, at.RECLAIMS] == 0 or is_full(m, area_of(vm)):
        return False
    return m.paging.guest.owners[vm, RESIDENT] + m.paging.guest.owners[vm, RESIDENT + 1] > 0


@kernel
def _send_out(m, core, vcpu):
    """Unmap the page that the guest's policy chooses and hand it to the disk; return its slot, or NO_SLOT."""
    vm = m.vcpu[vcpu, at.VM]
    if is_full(m, area_of(vm)):
        return np.int64(NO_SLOT)
    gpid = victim(m.paging.guest, vm)
    if gpid < 0:
        return np.int64(NO_SLOT)
    ppn = gpid - m.guests.vm[vm, at.BASE]
    slot = slot_take(m, area_of(vm), np.int64(1))
    m.core[core, at.CLOCK] += _unmap_everywhere(m, core, vcpu, gpid, slot)
    m.counters[m.vcpu[vcpu, at.ROW], Event.DOUBLE_PAGE_OUTS] += is_swapped(m, gpid)
    m.core[core, at.CLOCK] += gpa_access(m, core, vcpu, ppn)
    launch(m, area_of(vm), ppn)
    return slot


@kernel
def _unmap_everywhere(m, core, vcpu, gpid, slot):
    """Let every leaf that maps a page lead to its slot instead; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    ppn = gpid - m.guests.vm[vm, at.BASE]
    process, vpn = home_of(m, np.int64(m.guests.where[gpid]) - 1)
    cycles = _unmap(m, core, vcpu, process, vpn, np.int64(m.guests.where[gpid]) - 1, slot)
    m.guests.where[gpid] = 0
    other = m.guests.vm[vm, at.FIRST_PROCESS]
    while m.guests.sharers[gpid]:
        leaf, _ = leaf_slot(m, other, vpn)
        if m.guests.process[other, at.IS_LIVE] and leaf >= 0 and _maps(m, leaf, ppn):
            cycles += _unmap(m, core, vcpu, other, vpn, leaf, slot)
            slot_count(m, area_of(vm), slot, np.int64(1))
            m.guests.sharers[gpid] -= 1
        other += 1
    return cycles


@kernel
def _maps(m, leaf, ppn):
    return m.guests.tables[leaf] & at.PRESENT != 0 and page_of(m.guests.tables[leaf]) == ppn


@kernel
def _unmap(m, core, vcpu, process, vpn, leaf, slot):
    """Let one leaf lead to a slot, and flush what it mapped; return the cycles."""
    cycles = charge_guest(m, vcpu, m.cost[at.GPT_WRITE])
    cycles += gpt_write(m, core, vcpu, leaf, swap_entry(slot, m.guests.tables[leaf]))
    cycles += invalidate_for(m, core, vcpu, process, vpn)
    entry_settled(m, leaf)
    return cycles


@kernel
def _write(m, core, vcpu, first, following):
    """Write what was handed over into the slots from `first` up to `following`, once it has been read by the host."""
    if following > first:
        now = max(m.core[core, at.CLOCK], m.vcpu[vcpu, at.WAITS_UNTIL])
        write_launched(m, area_of(m.vcpu[vcpu, at.VM]), now, first, following - first)
