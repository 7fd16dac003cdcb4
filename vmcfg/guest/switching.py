"""What the guest's kernel tells the processor about its page tables: loads of CR3, INVLPG, shootdowns.

A load of CR3 drops what the TLBs hold of the address space before, unless address spaces have tags (PCID). There are
more processes than a kernel wants to keep tags for: each vCPU keeps a few places, as Linux does, and an address
space that has one comes back to warm TLBs (bit 63 of CR3). Global entries, those of the kernel's memory, stay.
INVLPG drops one page, of whatever size and in whatever pieces, and all walk-cache entries of the address space.

Who narrows an entry must flush it everywhere: here at once, on other vCPUs that have the process loaded by an interrupt
(a shootdown), and where a vCPU only keeps its translations, later: the place is marked stale.

With PAE each load of CR3 also reads the root's four entries into registers, and walks go by these: a guest that fills
one has CR3 loaded wherever the process is, as after a change that narrows.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import drop_page, drop_pieces, flush_linear, flush_walk_caches
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu import privileged
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.verbs import gpa_access

FLUSH_ALL_ABOVE = 33  # pages: then Linux reloads CR3 instead (tlb_single_page_flush_ceiling)


@part
def load_process(m, core, vcpu, process):
    """Load another process's root into CR3; return the cycles."""
    if has_pcids(m, m.vcpu[vcpu, at.VM]):
        _take_place(m, core, vcpu, process)
    else:
        flush_processes(m, core, m.vcpu[vcpu, at.VM])
    before = m.vcpu[vcpu, at.PROCESS]
    m.vcpu[vcpu, at.PROCESS] = process
    return _charge_load(m, vcpu) + _read_root(m, core, vcpu) + privileged.load_root(m, core, vcpu, before, process)


@part
def reload(m, core, vcpu):
    """Load CR3 once more to flush the loaded process; return the cycles."""
    return replace(m, core, vcpu, m.vcpu[vcpu, at.PROCESS])


@part
def replace(m, core, vcpu, before):
    """Load the new root of the loaded process, whose old one is that of `before`; return the cycles."""
    process = m.vcpu[vcpu, at.PROCESS]
    if has_pcids(m, m.vcpu[vcpu, at.VM]):
        flush_process(m, core, process)
    else:
        flush_processes(m, core, m.vcpu[vcpu, at.VM])
    return _charge_load(m, vcpu) + _read_root(m, core, vcpu) + privileged.load_root(m, core, vcpu, before, process)


@part
def change_view(m, core, vcpu, is_entry):
    """Enter or leave the kernel's view of the loaded process, if it has one (KPTI); return the cycles."""
    m.vcpu[vcpu, at.IN_KERNEL] = is_entry
    if m.guests.vm[m.vcpu[vcpu, at.VM], at.HAS_KPTI] == 0:
        return np.int64(0)
    if not has_pcids(m, m.vcpu[vcpu, at.VM]):
        flush_processes(m, core, m.vcpu[vcpu, at.VM])
    process = m.vcpu[vcpu, at.PROCESS]
    return _charge_load(m, vcpu) + _read_root(m, core, vcpu) + privileged.load_root(m, core, vcpu, process, process)


@part
def invalidate_page(m, core, vcpu, vpn, level):
    """Execute INVLPG for a page of any size of the loaded process, and have other vCPUs do so; return the cycles."""
    process = m.vcpu[vcpu, at.PROCESS]
    cycles = _invlpg(m, core, vcpu, vcpu, process, vpn, level) + privileged.invalidate(m, core, vcpu)
    return cycles + _invalidate_elsewhere(m, vcpu, process, vpn, level)


@part
def invalidate_for(m, core, vcpu, process, vpn):
    """Have a page of any process of the vCPU's guest dropped wherever it is loaded; return the cycles, IPIs too."""
    cycles = np.int64(0)
    if m.vcpu[vcpu, at.PROCESS] == process:
        cycles += _invlpg(m, core, vcpu, vcpu, process, vpn, np.int64(1)) + privileged.invalidate(m, core, vcpu)
    else:
        _mark_stale(m, vcpu, process)
    cycles += _invalidate_elsewhere(m, vcpu, process, vpn, np.int64(1))
    return cycles + _interrupt(m, vcpu, process)


@part
def _invalidate_elsewhere(m, vcpu, process, vpn, level):
    """Have the other vCPUs of a guest drop a page of a process, or come to know that they must; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    cycles = np.int64(0)
    for other in range(m.sched[at.VCPUS]):
        if other != vcpu and m.vcpu[other, at.VM] == vm:
            if m.vcpu[other, at.PROCESS] == process:
                cycles += _invlpg(m, other % m.sched[at.CORES], other, vcpu, process, vpn, level)
            else:
                _mark_stale(m, other, process)
    return cycles


@part
def flush_everywhere(m, core, vcpu):
    """Reload CR3 to flush the loaded process, and have other vCPUs do so; return the cycles."""
    process = m.vcpu[vcpu, at.PROCESS]
    cycles = reload(m, core, vcpu)
    vm = m.vcpu[vcpu, at.VM]
    for other in range(m.sched[at.VCPUS]):
        if other != vcpu and m.vcpu[other, at.VM] == vm:
            if m.vcpu[other, at.PROCESS] == process:
                there = other % m.sched[at.CORES]
                if has_pcids(m, vm):
                    flush_process(m, there, process)
                else:
                    flush_processes(m, there, vm)
                cycles += _charge_load(m, vcpu) + privileged.flush_at(m, there, other, vcpu)
            else:
                _mark_stale(m, other, process)
    return cycles


@part
def tell_of_pointer(m, core, vcpu):
    """Have CR3 loaded on all vCPUs that run the loaded process, whose root has a new entry; return the cycles."""
    return flush_everywhere(m, core, vcpu) + interrupt_others(m, vcpu)


@part
def interrupt_others(m, vcpu):
    """Interrupt the other vCPUs that have the loaded process loaded; return the cycles."""
    return _interrupt(m, vcpu, m.vcpu[vcpu, at.PROCESS])


@kernel
def _interrupt(m, vcpu, process):
    """Interrupt the other vCPUs that have a process loaded; return the cycles."""
    cycles = np.int64(0)
    for other in range(m.sched[at.VCPUS]):
        is_peer = other != vcpu and m.vcpu[other, at.VM] == m.vcpu[vcpu, at.VM]
        if is_peer and m.vcpu[other, at.PROCESS] == process:
            m.counters[m.vcpu[vcpu, at.ROW], Event.SHOOTDOWNS] += 1
            cycles += m.cost[at.IPI]
    m.counters[m.vcpu[vcpu, at.ROW], Event.FLUSH_CYCLES] += cycles
    return cycles


@kernel
def flush_process(m, core, process):
    """Drop what a core holds of one process, in both of its views."""
    flush_linear(m.stores, core, process, process + 1)
    view = m.guests.process[process, at.KERNEL_SPACE]
    if m.guests.vm[m.guests.process[process, at.PROCESS_VM], at.HAS_KPTI]:
        flush_linear(m.stores, core, view, view + 1)


@part
def flush_processes(m, core, vm):
    """Drop what a core holds of all processes of a VM, but not its global pages."""
    first, slots = m.guests.vm[vm, at.FIRST_PROCESS], m.guests.vm[vm, at.SLOTS]
    flush_linear(m.stores, core, first, first + slots)
    if m.guests.vm[vm, at.HAS_KPTI]:
        view = m.guests.process[first, at.KERNEL_SPACE]
        flush_linear(m.stores, core, view, view + slots)


@kernel
def _invlpg(m, core, vcpu, payer, process, vpn, level):
    """Let a vCPU drop a page, in whatever pieces, and the process's walk caches, on its core; the payer pays."""
    if level == 1:
        drop_page(m.stores, core, process, vpn)
    else:
        drop_pieces(m.stores, core, process, vpn & -pages_below(level), pages_below(level))
    flush_walk_caches(m.stores, core, process, process + 1)
    if m.guests.vm[m.vcpu[vcpu, at.VM], at.HAS_KPTI]:
        view = m.guests.process[process, at.KERNEL_SPACE]
        flush_walk_caches(m.stores, core, view, view + 1)
    row = m.vcpu[payer, at.ROW]
    m.counters[row, Event.INVLPGS] += 1
    m.counters[row, Event.FLUSH_CYCLES] += m.cost[at.INVLPG]
    return m.cost[at.INVLPG] + privileged.invalidate_at(m, core, vcpu, payer, vpn)


@kernel
def has_pcids(m, vm):
    """Tell whether a guest's address spaces have tags: the processor's, and only in its 64-bit mode."""
    return m.guests.vm[vm, at.PCIDS] != 0


@kernel
def _read_root(m, core, vcpu):
    """With PAE a load of CR3 reads the root's entries into registers, which may meet the VMM; return the cycles."""
    if m.guests.vm[m.vcpu[vcpu, at.VM], at.LEVELS] != at.PAE_LEVELS:
        return np.int64(0)
    root = at.KERNEL_ROOT_PPN if m.vcpu[vcpu, at.IN_KERNEL] else at.ROOT_PPN
    return gpa_access(m, core, vcpu, m.guests.process[m.vcpu[vcpu, at.PROCESS], root])


@kernel
def _charge_load(m, vcpu):
    row = m.vcpu[vcpu, at.ROW]
    m.counters[row, Event.CR3_LOADS] += 1
    m.counters[row, Event.FLUSH_CYCLES] += m.cost[at.CR3_LOAD]
    return m.cost[at.CR3_LOAD]


@part
def _take_place(m, core, vcpu, process):
    """Find a process among those whose translations the vCPU keeps, or give it the place whose turn it is."""
    places = m.guests.pcids
    kept = m.guests.vm[m.vcpu[vcpu, at.VM], at.PCIDS]
    for place in range(kept):
        if abs(places[vcpu, place]) == process + 1:
            if places[vcpu, place] < 0:
                flush_process(m, core, process)
                places[vcpu, place] = process + 1
            return
    place = m.vcpu[vcpu, at.PCID_NEXT]
    if places[vcpu, place]:
        flush_process(m, core, np.int64(abs(places[vcpu, place]) - 1))
    flush_process(m, core, process)  # left there by another vCPU of the core
    places[vcpu, place] = process + 1
    m.vcpu[vcpu, at.PCID_NEXT] = (place + 1) % kept


@kernel
def _mark_stale(m, vcpu, process):
    for place in range(m.guests.vm[m.vcpu[vcpu, at.VM], at.PCIDS]):
        if m.guests.pcids[vcpu, place] == process + 1:
            m.guests.pcids[vcpu, place] = -(process + 1)
