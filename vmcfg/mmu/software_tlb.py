"""`software_tlb`: the processor walks nothing, a miss of its TLB is an exception (MIPS, Disco).

Who keeps which table: the guest its own page table, the VMM a pmap; hardware knows of neither. What is write-protected:
nothing. What exits: every TLB miss, because exceptions go to the VMM; and every write of a TLB entry, because guests
must not put machine frames of their choice there:

    miss ─exit─► VMM: in its own second TLB? ── yes ──────────────► TLB, go on
                      └ no: reflect ─► the guest's refill handler reads its table
                                       (page fault, if the page is not there) ─► writes the TLB ─exit─► VMM: PPN → MPN

The VMM's second TLB is a table in memory, much larger than the processor's, and spares the guest's handler and the
second exit. Loads of CR3 (here: of an address-space number) and INVLPG trap as well. The processor's tags are the
guest's, so that a switch of vCPUs has to empty its TLB; the second TLB has tags of the VMM's own and keeps what it has.

What it costs: one or two exits a miss, where a walk costs some references. It loses wherever TLBs miss. A hypervisor
cannot do the same on a processor that walks by itself, for there a miss that finds its entry is no exception: nobody is
told. What it has instead is to keep the table that is walked: shadow paging.

A store that hits an entry without D is an exception too. The handler sets D in the table, and the access begins anew.

Source: Bugnion et al., Disco: running commodity operating systems on scalable multiprocessors, TOCS 1997.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.assoc import (
    NARROW,
    SETS,
    drop,
    fill,
    find,
    geometry,
    is_dirty,
    set_of,
    tag_of,
    touch,
)
from vmcfg.hardware.core import SOFTWARE_TLB, STORES
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Exit
from vmcfg.mmu.walks import COMPLETE, TLB_MISS, is_dirty_entry, leaves_of, page_of, slot_in_table
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import vm_exit


@kernel
def walk(m, walker, vpn, is_store, is_quiet, is_lean):
    """Tell that nobody walks, unless the miss of this page has been answered: then read what was put into the TLB.

    Returns what `mmu.walks` says that a walk returns: no references. The frame of a miss tells whether it is a store's.
    """
    nothing = np.int64(0)
    if m.vcpu[walker.vcpu, at.REFILLED] == vpn + 1:
        m.vcpu[walker.vcpu, at.REFILLED] = 0
        entry = _leaf(m, walker, vpn)
        if allows(entry, is_store):
            frame = m.host.pmap[walker.base + page_of(entry)] >> at.MPN_SHIFT
            return COMPLETE, frame, is_dirty_entry(entry), nothing, leaves_of(1, 1)
    return TLB_MISS, np.int64(is_store), nothing, nothing, nothing


@kernel
def allows(entry, is_store):
    """Tell whether a leaf lets an access go on."""
    needed = at.PRESENT | at.WRITABLE if is_store else at.PRESENT
    return entry & needed == needed


@part
def trap(m, walker):
    """Leave the guest because of a miss, to look into the second TLB if there is one; return the cycles."""
    built = _second(m, walker)
    looking = m.cost[at.SOFTWARE_TLB_HIT] if built[SETS] else np.int64(0)
    return vm_exit(m, walker.core, walker.vcpu, Exit.TLB_MISS, looking)


@part
def knows(m, walker, vpn, is_store):
    """Tell whether the second TLB has a page, for a store with D; if so the miss is answered."""
    built = _second(m, walker)
    if built[SETS] == 0:
        return False
    index = set_of(built, vpn)
    way = find(m.stores, built, index, tag_of(walker.space, vpn))
    if way < 0 or (is_store and not is_dirty(m.stores, built, index, way)):
        return False
    touch(m.stores, built, index, way)
    m.counters[walker.row, Event.SOFTWARE_TLB_HITS] += 1
    m.vcpu[walker.vcpu, at.REFILLED] = vpn + 1
    return True


@part
def read_leaf(m, walker, vpn, is_store):
    """Read a leaf as the guest's handler does, which sets A and D; return it, or 0 if it is a fault."""
    slot = _leaf_slot(m, walker, vpn)
    if slot < 0 or not allows(m.guests.tables[slot], is_store):
        return np.int64(0)
    m.guests.tables[slot] |= at.ACCESSED | (at.DIRTY if is_store else 0)
    return m.guests.tables[slot]


@part
def write(m, walker, vpn, entry):
    """Let the guest write a TLB entry: leave it, and put the page's frame in place of the page; return the cycles."""
    m.vcpu[walker.vcpu, at.REFILLED] = vpn + 1
    built = _second(m, walker)
    if built[SETS]:
        tag = tag_of(walker.space, vpn)
        drop(m.stores, built, vpn, tag)
        frame = m.host.pmap[walker.base + page_of(entry)] >> at.MPN_SHIFT
        fill(m.stores, built, set_of(built, vpn), tag, frame, is_dirty_entry(entry))
    return vm_exit(m, walker.core, walker.vcpu, Exit.TLB_REFILL, m.cost[at.TLB_REFILL])


@part
def privileged(m, core, vcpu, reason):
    """Leave the guest for an instruction that needs the VMM and nothing of it; return the cycles."""
    return vm_exit(m, core, vcpu, reason, np.int64(0))


@kernel
def _second(m, walker):
    return geometry(m.stores, walker.core * STORES + SOFTWARE_TLB, False, NARROW)


@kernel
def _leaf(m, walker, vpn):
    """Return the leaf of a page, 0 if a table on the way is missing."""
    slot = _leaf_slot(m, walker, vpn)
    return m.guests.tables[slot] if slot >= 0 else np.int64(0)


@kernel
def _leaf_slot(m, walker, vpn):
    table = walker.root_table
    for level in range(walker.levels, 1, -1):
        entry = m.guests.tables[slot_in_table(table, vpn, level)]
        if entry & at.PRESENT == 0:
            return np.int64(-1)
        table = entry >> at.CHILD_SHIFT
    return slot_in_table(table, vpn, 1)
