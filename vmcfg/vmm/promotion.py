"""Small host pages that become a large one: the VMM collapses them behind the guest's back.

From time to time the VMM looks at aligned blocks of 512 guest pages, the next ones of the VM in turn. Where an EPT
table maps a block, and no more than `max_absent` of its pages have no frame, it takes a block of frames, copies what is
there and zeroes the rest, puts one large entry in place of the table, and gives the old frames and the table's back.
After that no core may hold anything of the VM's memory: one INVEPT for each, and an exit of the vCPU that waits.

It does for the host what khugepaged does for a Linux guest, and in Linux is the same thread: a VM is a process there.
The reserve for accesses stays free, so a promotion takes nothing that an access may need.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Exit, Sized
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import block_take, frame_free, has_block
from vmcfg.vmm.large_pages import MARKS, entry_place
from vmcfg.vmm.shadow_pages import zap_mappers
from vmcfg.vmm.verbs import invalidate, vm_exit


@part
def promote_blocks(m, core, vcpu, blocks, max_absent, times):
    """Promote those of the VM's next blocks that are worth it; return the cycles of exits."""
    vm = m.vcpu[vcpu, at.VM]
    whole = m.guests.vm[vm, at.PAGES] // at.TABLE_ENTRIES
    cycles = np.int64(0)
    for number in range(blocks if whole else 0):
        ppn = (times * blocks + number) % whole * at.TABLE_ENTRIES
        m.sizes[m.vcpu[vcpu, at.ROW], Sized.BLOCKS_SCANNED] += 1
        if _is_worth(m, vm, ppn, max_absent):
            cycles += promote(m, core, vcpu, ppn)
    return cycles


@kernel
def _is_worth(m, vm, ppn, max_absent):
    """Tell whether a table maps a block of which enough pages have frames, and there are frames for a large page."""
    is_enough = m.host.counts[at.FRAME_FREE] >= m.host.counts[at.RESERVE] + at.TABLE_ENTRIES
    if m.host.ept[entry_place(m, vm, ppn, at.BLOCK_LEVEL)] <= 0 or not is_enough or not has_block(m, at.BLOCK_LEVEL):
        return False
    first = m.guests.vm[vm, at.BASE] + ppn
    absent = 0
    for gpid in range(first, first + at.TABLE_ENTRIES):
        absent += m.host.pmap[gpid] & at.KIND_MASK != at.PRIVATE
    return absent <= max_absent and absent < at.TABLE_ENTRIES


@part
def promote(m, core, vcpu, ppn):
    """Put one large host page behind the 512 guest pages from `ppn` on; return the cycles of the exit."""
    row, vm = m.vcpu[vcpu, at.ROW], m.vcpu[vcpu, at.VM]
    place = entry_place(m, vm, ppn, at.BLOCK_LEVEL)
    if m.cost[at.MODE] == at.SHADOW:
        for number in range(at.TABLE_ENTRIES):
            zap_mappers(m, vm, ppn + number)
    copied, marks = _move(m, vm, ppn)
    if m.guests.vm[vm, at.HOST_LEVELS]:
        frame_free(m, np.int64(m.host.ept[place]) - 1)
    m.host.ept[place] = at.LARGE | marks
    m.sizes[row, Sized.PROMOTED] += 1
    m.sizes[row, Sized.PROMOTE_COPIED] += copied
    m.sizes[row, Sized.PROMOTE_ADDED] += at.TABLE_ENTRIES - copied
    cycles = copied * m.cost[at.COPY_PAGE] + (at.TABLE_ENTRIES - copied) * m.cost[at.ZERO_PAGE]
    return vm_exit(m, core, vcpu, Exit.PROMOTION, cycles + invalidate(m, vm))


@kernel
def _move(m, vm, ppn):
    """Move a block's pages into neighbouring frames; return (how many had one, the A and D of any)."""
    first = m.guests.vm[vm, at.BASE] + ppn
    mpn = block_take(m, at.BLOCK_LEVEL, at.FRAME_PRIVATE, first)
    copied = marks = np.int64(0)
    for number in range(at.TABLE_ENTRIES):
        page = m.host.pmap[first + number]
        if page & at.KIND_MASK == at.PRIVATE:
            frame_free(m, page >> at.MPN_SHIFT)
            marks |= page & MARKS
            copied += 1
        m.host.pmap[first + number] = ((mpn + number) << at.MPN_SHIFT) | (page & at.IS_TABLE) | at.PRIVATE
    return copied, marks
