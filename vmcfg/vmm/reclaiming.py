"""How the VMM frees frames when they run out: by quotas that policy left, without the help of guests.

    make_room    free frames until an access can begin: page out by quotas, wait for what is on its way
    make_room_ahead  the same before anybody needs them: nobody waits
    page_out     a batch of one VM's pages: unmapped, one flush for all, written in as few requests as slots allow

A page goes into the compression cache if there is one and it fits, else to the disk.

Which VM has to give, and how much, is policy, in Python: it leaves quotas. Which of the VM's pages go is selection.
Frames whose pages are being written are no longer of use to the VM and not yet free: they count as reserved. A page
is unmapped before it is written, so none can change meanwhile; one that is touched meanwhile is read back after it.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import by_reference, entry, kernel, part
from vmcfg.metrics.events import Event, Exit
from vmcfg.reclaim.replacement import victim
from vmcfg.vmm import machine as at
from vmcfg.vmm.compression import LIMIT, drop, has_place, keep, oldest_entry, quarters_for
from vmcfg.vmm.files import HAS_FILES, is_of_disk
from vmcfg.vmm.frames import frame_free, frame_reserve, frame_take
from vmcfg.vmm.images import NO_BLOCK, block_of, note_changed, place_in_image
from vmcfg.vmm.paging import (
    BATCH,
    CAPACITY,
    MAPS,
    NEXT_VM,
    RUN_END,
    RUN_FIRST,
    VMS,
    count_unused,
    is_at_capacity,
)
from vmcfg.vmm.shadow_pages import zap_mappers
from vmcfg.vmm.swap import (
    FLIGHTS,
    HOST_AREA,
    LAUNCHED,
    NO_SLOT,
    SLOTS,
    USED,
    flying,
    has_landed,
    is_full,
    land,
    launch,
    slot_take,
    when_landed,
    write_launched,
)
from vmcfg.vmm.verbs import invalidate, vm_exit

ENOUGH, WAITS, NO_QUOTA = range(3)  # what `make_room` comes to


@entry
def make_room(machine, core):
    """Free frames for the head of a core's queue until as many are free as it WANTED.

    Returns ENOUGH, WAITS if some are on their way (its vCPU's WAITS_UNTIL says for how long), or NO_QUOTA.
    """
    m = by_reference(machine)
    return free_frames(m, core, np.int64(m.queue[core, 0]), m.host.counts[at.WANTED])


@entry
def make_room_for(machine, vcpu):
    """Do the same for something that a vCPU's guest does at its time, and not the vCPU."""
    m = by_reference(machine)
    waits = m.vcpu[vcpu, at.WAITS_UNTIL]
    made = free_frames(m, vcpu % m.sched[at.CORES], vcpu, m.host.counts[at.WANTED])
    m.vcpu[vcpu, at.WAITS_UNTIL] = waits
    return made


@entry
def make_room_ahead(machine, wanted):
    """Page out by quotas until so many frames are free or on their way to that; return how many are.

    Each VM's vCPU 0 pays for what its VM gives, on its own core.
    """
    m = by_reference(machine)
    collect_written(m, m.sched[at.NOW])
    while m.host.counts[at.FRAME_FREE] + flying(m, HOST_AREA) < wanted:
        vm = _next_giver(m)
        if vm < 0 or flying(m, HOST_AREA) + m.paging.rules[BATCH] > FLIGHTS:
            break
        vcpu = m.guests.vm[vm, at.FIRST_VCPU]
        row = m.vcpu[vcpu, at.ROW]
        before = m.counters[row, Event.HOST_PAGE_OUTS]
        core = vcpu % m.sched[at.CORES]
        m.core[core, at.CLOCK] += page_out(m, core, vcpu, vm)
        m.counters[row, Event.PAGED_AHEAD] += m.counters[row, Event.HOST_PAGE_OUTS] - before
    return m.host.counts[at.FRAME_FREE] + flying(m, HOST_AREA)


@part
def free_frames(m, core, vcpu, wanted):
    """Free frames for a vCPU until `wanted` are free: see `make_room`."""
    now = m.core[core, at.CLOCK]
    collect_written(m, now)
    while _must_send(m, wanted):
        vm = _next_giver(m)
        if vm < 0 or flying(m, HOST_AREA) + m.paging.rules[BATCH] > FLIGHTS:
            break
        m.core[core, at.CLOCK] += page_out(m, core, vcpu, vm)
    collect_written(m, now)
    if is_at_capacity(m):
        if flying(m, HOST_AREA) + m.paging.rules[BATCH] <= FLIGHTS:
            return NO_QUOTA
        m.vcpu[vcpu, at.WAITS_UNTIL] = max(m.vcpu[vcpu, at.WAITS_UNTIL], when_landed(m, HOST_AREA, np.int64(1)))
        return WAITS
    missing = wanted - m.host.counts[at.FRAME_FREE]
    if missing <= 0:
        return ENOUGH
    if missing > flying(m, HOST_AREA):
        return NO_QUOTA
    m.vcpu[vcpu, at.WAITS_UNTIL] = max(m.vcpu[vcpu, at.WAITS_UNTIL], when_landed(m, HOST_AREA, missing))
    return WAITS


@kernel
def _must_send(m, wanted):
    """Tell whether a further batch must go: while frames are few, or where a capacity is set, by that alone."""
    if m.paging.rules[CAPACITY]:
        return is_at_capacity(m)
    return m.host.counts[at.FRAME_FREE] + flying(m, HOST_AREA) < wanted + m.paging.rules[BATCH]


@kernel
def collect_written(m, now):
    """Free the frames whose pages have reached the disk."""
    while has_landed(m, HOST_AREA, now):
        frame_free(m, land(m, HOST_AREA))


@part
def page_out(m, core, vcpu, vm):
    """Page a whole batch of a VM's pages out; return the cycles. A VM that cannot give it loses its quota."""
    now = m.core[core, at.CLOCK]
    allowed = m.paging.rules[BATCH]
    launched = m.paging.area[HOST_AREA, LAUNCHED]
    count = dropped = 0
    while count < allowed:
        gpid = _unmap_victim(m, vm)
        if gpid < 0:
            m.paging.quota[vm] = 0
            break
        count += 1
        if m.compression.vm[vm, LIMIT] and _compress(m, vcpu, vm, gpid, now):
            continue
        if _drop_image(m, vm, gpid):
            dropped += 1
        else:
            _send_out(m, now, gpid, m.host.pmap[gpid] >> at.MPN_SHIFT)
    _write_run(m, now)
    m.paging.quota[vm] = max(np.int64(0), m.paging.quota[vm] - allowed)
    if count == 0:
        return np.int64(0)
    launched = m.paging.area[HOST_AREA, LAUNCHED] - launched
    m.counters[m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW], Event.HOST_PAGE_OUTS] += launched + dropped
    return vm_exit(m, core, vcpu, Exit.RECLAIM, invalidate(m, vm))


@kernel
def _next_giver(m):
    """Return the next VM that has a quota, in turn; -1 if none has."""
    vms = m.paging.rules[VMS]
    for step in range(vms):
        vm = (m.paging.rules[NEXT_VM] + step) % vms
        if m.paging.quota[vm] > 0:
            m.paging.rules[NEXT_VM] = vm + 1
            return vm
    return np.int64(-1)


@kernel
def _unmap_victim(m, vm):
    """Unmap the page of a VM that its policy chooses and return it, or -1 if no page is left, or no slot for it."""
    if is_full(m, np.int64(HOST_AREA)):
        return np.int64(-1)
    gpid = victim(m.paging.host, vm)
    if gpid >= 0 and m.cost[at.MODE] == at.SHADOW:
        zap_mappers(m, vm, gpid - m.guests.vm[vm, at.BASE])
    return gpid


@kernel
def _drop_image(m, vm, gpid):
    """Drop an unmapped page that equals a block of its guest's disk, if the host knows of it; tell whether it did."""
    block = _judge(m, vm, gpid)
    if block == NO_BLOCK or m.paging.rules[MAPS] == 0:
        return False
    frame_free(m, m.host.pmap[gpid] >> at.MPN_SHIFT)
    m.host.pmap[gpid] = (place_in_image(m, block) << at.MPN_SHIFT) | at.SWAPPED
    return True


@kernel
def _judge(m, vm, gpid):
    """Count what kind of page is going out; return the block that it equals on its guest's disk, or NO_BLOCK."""
    if m.files.rules[vm, HAS_FILES] == 0:
        return np.int64(NO_BLOCK)
    row = m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW]
    count_unused(m, row, gpid)
    m.counters[row, Event.HOST_FILE_PAGE_OUTS] += is_of_disk(m, vm, gpid)
    block = block_of(m, vm, gpid)
    if block == NO_BLOCK:
        note_changed(m, vm, gpid)
    m.counters[row, Event.SILENT_WRITES] += block != NO_BLOCK and m.paging.rules[MAPS] == 0
    m.counters[row, Event.IMAGE_DROPS] += block != NO_BLOCK and m.paging.rules[MAPS] != 0
    return block


@part
def _compress(m, vcpu, vm, gpid, now):
    """Put an unmapped page into its VM's cache, from which others may have to go; tell whether that was done."""
    row = m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW]
    quarters = quarters_for(m, vcpu, vm, gpid)
    while quarters and not has_place(m, vm, quarters):
        if not _evict(m, vcpu, vm, row, now):
            quarters = np.int64(0)
    if quarters == 0:
        m.counters[row, Event.COMPRESS_REJECTED] += 1
        return False
    keep(m, vm, gpid, quarters)
    m.counters[row, Event.COMPRESSIONS] += 1
    return True


@kernel
def _evict(m, vcpu, vm, row, now):
    """Send the oldest page in a VM's cache to the disk, in a frame of its own; tell whether that was possible.

    A slot is left for the page that needs its place, and room among those on their way for the rest of the batch.
    """
    slots_left = m.paging.area[HOST_AREA, SLOTS] - m.paging.area[HOST_AREA, USED]
    is_crowded = flying(m, HOST_AREA) + m.paging.rules[BATCH] >= FLIGHTS
    if slots_left < 2 or m.host.counts[at.FRAME_FREE] == 0 or is_crowded:
        return False
    gpid = oldest_entry(m, vm)
    if gpid < 0:
        return False
    drop(m, vm, gpid)
    m.vcpu[vcpu, at.SPENT] += m.cost[at.DECOMPRESS_PAGE]
    m.counters[row, Event.COMPRESSED_EVICTED] += 1
    _send_out(m, now, gpid, frame_take(m, at.FRAME_PRIVATE, gpid))
    return True


@kernel
def _send_out(m, now, gpid, mpn):
    """Hand a page in a frame to the disk; what lay in the slots before this one is written with it, or now."""
    rules = m.paging.rules
    slot = slot_take(m, np.int64(HOST_AREA), gpid + 1)
    if slot != rules[RUN_END]:
        _write_run(m, now)
        rules[RUN_FIRST] = slot
    rules[RUN_END] = slot + 1
    frame_reserve(m, mpn)
    launch(m, np.int64(HOST_AREA), mpn)
    m.host.pmap[gpid] = (slot << at.MPN_SHIFT) | at.SWAPPED


@kernel
def _write_run(m, now):
    """Write what was sent out and has not been written, with one request."""
    rules = m.paging.rules
    if rules[RUN_FIRST] != NO_SLOT:
        write_launched(m, np.int64(HOST_AREA), now, rules[RUN_FIRST], rules[RUN_END] - rules[RUN_FIRST], np.int64(0))
    rules[RUN_FIRST] = rules[RUN_END] = NO_SLOT
