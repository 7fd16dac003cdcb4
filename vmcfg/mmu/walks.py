"""What the walkers of all modes share: what a walk returns, and the guest's half of it.

Every mode's `walk(m, walker, vpn, is_store, is_quiet, is_lean)` returns five integers:

    (end, frame, D, what was counted, leaves)

`end` is one of the six below. `frame` is the page's machine frame after a complete walk, and the PPN that has
none after a violation. D is what a TLB entry filled by this walk may keep. References and hits of walk caches are
counted as `mmu.tally` says, and cost what `mmu.references` says. `leaves` are the levels of the leaves that were found,
as `leaves_of` joins them; lean loops know only leaves of level 1, and do not ask.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.hardware.assoc import SETS, SLIM, fill, find, geometry, payload_of, set_of, tag_of, touch
from vmcfg.hardware.core import TABLE_BITS, entry_key
from vmcfg.jit import kernel, unlikely
from vmcfg.vmm import machine as at

KERNEL_VPN_32 = 3 << 18  # Linux gives programs 3 GiB of 4

# How a walk ends.
COMPLETE, GUEST_PAGE_FAULT, HOST_VIOLATION, LOG_FULL, TLB_MISS, SHADOW_FAULT = range(6)


class Walker(NamedTuple):
    """Who walks: what a vCPU's walks have in common, read once and kept in registers."""

    core: int
    vcpu: int
    space: int  # the tag of linear and combined mappings
    vm: int  # also the tag of its guest-physical mappings
    root_table: int
    root_ppn: int
    levels: np.int64  # of the guest's table that are walked
    bits: np.int64  # of a page number that select an entry of one of its tables
    has_pointers: bool  # PAE: what the root says is in registers, and walks begin below it
    host_levels: np.int64
    base: int  # gpid of the VM's page 0
    first_frame: np.int64  # of page 0: in `native` the others follow
    row: np.int64  # where its references are counted
    has_data_caches: bool  # a constant: the host models them


# MMU modes, as the loop knows them.
NATIVE, NESTED, SHADOW, PARAVIRT, SOFTWARE_TLB = at.NATIVE, at.NESTED, at.SHADOW, at.PARAVIRT, at.SOFTWARE_TLB
MODES = {"native": NATIVE, "nested": NESTED, "shadow": SHADOW, "paravirt": PARAVIRT, "software_tlb": SOFTWARE_TLB}
WALKS_AS = {PARAVIRT: NATIVE}
"""Modes whose walks are those of another: they share its loop, and differ in what is rarely done."""


@kernel
def walker_of(m, core, vcpu, is_lean, has_data_caches):
    """Return the walker of a vCPU on its core, for the memory of the loaded process."""
    process = m.vcpu[vcpu, at.PROCESS]
    table = m.guests.process[process, at.ROOT_TABLE]
    return _walker(m, core, vcpu, process, table, m.guests.process[process, at.ROOT_PPN], is_lean, has_data_caches)


@kernel
def kernel_walker_of(m, core, vcpu, has_data_caches):
    """Return the walker of a vCPU on its core, for the memory of the guest's kernel.

    Walk caches know no global entries: without KPTI they hold the way there under the loaded process's tag.
    """
    process = m.vcpu[vcpu, at.PROCESS]
    has_view = m.guests.vm[m.vcpu[vcpu, at.VM], at.HAS_KPTI]
    space = m.guests.process[process, at.KERNEL_SPACE] if has_view else process
    table = m.guests.process[process, at.KERNEL_ROOT_TABLE]
    return _walker(m, core, vcpu, space, table, m.guests.process[process, at.KERNEL_ROOT_PPN], False, has_data_caches)


@kernel
def kernel_vpn(levels):
    """Return the first page of the kernel's part of an address space: the upper half, of 32 bits the last GiB."""
    return np.int64(KERNEL_VPN_32 if levels < at.USUAL_LEVELS else 1 << (TABLE_BITS * levels - 1))


@kernel
def _walker(m, core, vcpu, space, root_table, root_ppn, is_lean, has_data_caches):
    vm = m.vcpu[vcpu, at.VM]
    levels = np.int64(at.USUAL_LEVELS) if is_lean else m.guests.vm[vm, at.LEVELS]
    has_pointers = not is_lean and levels == at.PAE_LEVELS
    return Walker(
        core,
        vcpu,
        space,
        vm,
        root_table,
        root_ppn,
        levels - np.int64(has_pointers),
        np.int64(TABLE_BITS) if is_lean else m.guests.vm[vm, at.INDEX_BITS],
        has_pointers,
        np.int64(at.USUAL_LEVELS) if is_lean else m.guests.vm[vm, at.HOST_LEVELS],
        m.guests.vm[vm, at.BASE],
        m.host.pmap[m.guests.vm[vm, at.BASE]] >> at.MPN_SHIFT,
        m.vcpu[vcpu, at.ROW],
        has_data_caches,
    )


@kernel
def probe_walk_caches(stores, first, top, space, page, bits, is_quiet, is_lean):
    """Look for the entry nearest the leaf that a dimension's walk caches hold.

    Probes levels 2 … top of the caches `first + level`, of tables with 2^bits entries. Returns (level, payload) of the
    first hit, or (top + 1, 0). A quiet probe leaves recency alone.
    """
    for level in range(2, top + 1):
        built = geometry(stores, first + level, is_lean, SLIM)
        if is_lean or built[SETS]:  # lean hosts have them all
            key = entry_key(page, level, bits)
            index = set_of(built, key)
            way = find(stores, built, index, tag_of(space, key))
            if way >= 0:
                if not is_quiet:
                    touch(stores, built, index, way)
                return level, payload_of(stores, built, index, way)
    return top + 1, np.int64(0)


@kernel
def fill_walk_cache(stores, cache, level, space, page, bits, payload, is_lean):
    """Keep a present non-leaf entry of `level` that a walk has just read."""
    built = geometry(stores, cache, is_lean, SLIM)
    if is_lean or built[SETS]:
        key = entry_key(page, level, bits)
        fill(stores, built, set_of(built, key), tag_of(space, key), payload, 0)


@kernel
def begin(m, walker, vpn, is_lean):
    """Return (the guest's table with which a walk begins, its page, whether there is one): the root.

    With PAE it is what the root's entry says, which is in a register: guests load these whenever they change one. With
    paging off there is no table, and the page is the one that is wanted.
    """
    if not is_lean and walker.levels == 0:
        return np.int64(0), np.int64(vpn), True
    if not is_lean and walker.has_pointers:
        pointer = m.guests.tables[slot_in_table(walker.root_table, vpn, at.PAE_LEVELS)]
        return pointer >> at.CHILD_SHIFT, page_of(pointer), pointer & at.PRESENT != 0
    return walker.root_table, walker.root_ppn, True


@kernel
def slot_in_table(table, vpn, level):
    """Return where the entry of `level` for a page lies, in tables of 512 entries."""
    return slot_among(table, vpn, level, TABLE_BITS)


@kernel
def slot_among(table, vpn, level, bits):
    """Return where in `guests.tables` the entry of `level` for a page lies, in tables of 2^bits entries."""
    return table * at.TABLE_ENTRIES + (entry_key(vpn, level, bits) & ((1 << bits) - 1))


@kernel
def guest_slot(m, vm, table, vpn, level):
    """Return the same in a table of a VM."""
    return slot_among(table, vpn, level, m.guests.vm[vm, at.INDEX_BITS])


@kernel
def read_guest_entry(m, slot, level, is_store, is_lean):
    """Read a guest entry as a walker does: A is set, and D on the leaf of a store. Return it as it is then.

    Returns 0 for an entry that is a fault: one that is absent, and without W the leaf of a store.
    """
    entry = m.guests.tables[slot]
    needed = at.PRESENT
    wanted = entry | at.ACCESSED
    if is_store and is_guest_leaf(entry, level, is_lean):
        needed |= at.WRITABLE
        wanted |= at.DIRTY
    if unlikely(entry & needed != needed):
        return np.int64(0)
    if unlikely(wanted != entry):
        m.guests.tables[slot] = wanted
    return wanted


@kernel
def is_guest_leaf(entry, level, is_lean):
    """Tell whether a present guest entry of `level` maps a page."""
    return level == 1 or (not is_lean and entry & at.LARGE_PAGE != 0)


@kernel
def leaves_of(guest, host):
    """Join the levels of the guest's leaf and of the host's: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB."""
    return np.int64(guest) << 2 | np.int64(host)


@kernel
def guest_leaf(leaves):
    """Return the level of the guest's leaf."""
    return leaves >> 2


@kernel
def host_leaf(leaves):
    """Return the level of the host's leaf."""
    return leaves & 3


@kernel
def is_dirty_entry(entry):
    """Return 1 if a leaf has D set, and W: what a store through a TLB needs, else 0."""
    return np.int64(entry & (at.DIRTY | at.WRITABLE) == at.DIRTY | at.WRITABLE)


@kernel
def page_of(entry):
    """Return the PPN in a guest entry."""
    return (entry >> at.PPN_SHIFT) & at.PPN_MASK
