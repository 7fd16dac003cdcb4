"""`shadow`: the VMM keeps, for each table of the guest, one of its own that leads to machine frames.

Who keeps which table: the guest its own (VPN → PPN), which no hardware reads; the VMM shadow tables (VPN → MPN), which
it does. A walk takes what it takes natively. The price is that the two must agree, and there are three ways to it:

    virtual_tlb  nothing is write-protected. The shadow table is what a TLB is: empty after each load of CR3, filled by
                 faults, corrected at INVLPG (SDM 32.3.3). It loses wherever guests switch.
    cached       shadow tables are kept, each beside the guest's table that it follows. That is write-protected, and
                 each write to it exits and is emulated. A table that is written again and again without use is let go
                 (write flooding): emptied, and no longer protected until a fault goes through it. It loses wherever
                 guests change their tables: fork, mmap, a fault per page.
    unsync       as cached, but the first write to a leaf table only lifts its protection. It may then disagree, as a
                 TLB may, until the guest loads CR3 or executes INVLPG; then it is compared and protected again. Each
                 vCPU remembers a few such tables (Xen's slots: frame mod slots, one displacement, else a re-sync).

What exits: **true faults** (the guest forbids the access: injected), **hidden faults** (the guest allows it, the shadow
does not yet: filled, and A and D set in the guest's entry as its processor would), **trace faults** (writes to
protected tables), loads of CR3, INVLPG. An entry is absent until A is set, and read-only until D is.

Large pages: a shadow entry is as large as the smaller of the guest's page and the host's: see `mmu.shadow_large`.

Two refinements of KVM's history. `installs_on_write`: an emulated write of a present leaf also fills the shadow of it,
which spares the hidden fault that would follow. `bypass_not_present`: entries that are absent in the guest's table too
fault straight into the guest, without the VMM. So a demand fault costs 3 exits, then 2, then 1.
`cr3_targets`: loads of the last few roots do not exit (the processor compares with a short list).
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import GUEST_WALK, STORES, TABLE_BITS
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Exit
from vmcfg.mmu.references import refer
from vmcfg.mmu.shadow_large import fill_large, lacks_pieces, mark_leaf
from vmcfg.mmu.tally import HOST_HIT, HOST_REF
from vmcfg.mmu.walks import (
    COMPLETE,
    SHADOW_FAULT,
    fill_walk_cache,
    is_dirty_entry,
    is_guest_leaf,
    leaves_of,
    page_of,
    probe_walk_caches,
    slot_in_table,
)
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.paging import PAGES
from vmcfg.vmm.shadow_pages import (
    FRAME,
    GUEST_TABLE,
    LEAF_LEVEL,
    NONE,
    OPEN,
    STATE,
    TRACED,
    WRITES,
    frame_of,
    is_of_pieces,
    new_shadow,
    set_child,
    set_leaf,
    zap,
)
from vmcfg.vmm.verbs import is_backed, supply, vm_exit

VIRTUAL_TLB, CACHED, UNSYNC = range(3)
VARIANTS = {"virtual_tlb": VIRTUAL_TLB, "cached": CACHED, "unsync": UNSYNC}


@kernel
def walk(m, walker, vpn, is_store, is_quiet, is_lean):
    """Walk the shadow table for one page; a quiet walk (for D alone) changes nothing in the walk caches.

    Returns what `mmu.walks` says that a walk returns.
    """
    caches = walker.core * STORES + GUEST_WALK
    level, page = probe_walk_caches(
        m.stores, caches, walker.levels, walker.space, vpn, TABLE_BITS, is_quiet, is_lean
    )
    zero = tally = np.int64(0)
    if level <= walker.levels:
        tally += HOST_HIT
    else:
        page = m.vcpu[walker.vcpu, at.SHADOW_ROOT]
    level -= 1
    while True:
        refer(m, walker, m.shadow.page[page, FRAME], vpn, level, TABLE_BITS)
        entry = _read_entry(m, slot_in_table(page, vpn, level), level, is_store, is_lean)
        tally += HOST_REF
        if entry == 0:
            return SHADOW_FAULT, zero, zero, tally, zero
        if is_guest_leaf(entry, level, is_lean):
            break
        page = entry >> at.CHILD_SHIFT
        if not is_quiet:
            fill_walk_cache(m.stores, caches + level, level, walker.space, vpn, TABLE_BITS, page, is_lean)
        level -= 1
    frame = frame_of(entry)
    leaves = leaves_of(1, 1)
    if not is_lean:
        frame += vpn & (pages_below(level) - 1)
        leaves = leaves_of(m.shadow.page[page, LEAF_LEVEL], level)
    if m.paging.rules[PAGES]:  # whoever pages looks for A where the VMM has one place for it
        m.host.pmap[m.host.owner[frame]] |= at.HOST_ACCESSED
    return COMPLETE, frame, is_dirty_entry(entry), tally, leaves


@part
def shadow_fault(m, walker, vpn, is_store):
    """Handle a fault on the shadow table; return (cycles, whether the guest has to handle it too)."""
    if not _is_allowed(m, walker, vpn, is_store):
        if m.cost[at.BYPASSES] and _is_absent_in_both(m, walker, vpn):
            return np.int64(0), True
        slot, _ = way_to(m, walker.vcpu, vpn, False)  # a page fault drops what a TLB holds, and so what stands for one
        zap(m, slot // at.TABLE_ENTRIES, slot % at.TABLE_ENTRIES)
        return vm_exit(m, walker.core, walker.vcpu, Exit.TRUE_FAULT, m.cost[at.TRUE_FAULT]), True
    page, level, frames = _leaf_page(m, walker, vpn)
    slot = slot_in_table(m.shadow.page[page, GUEST_TABLE], vpn, level)
    if level > 1:
        frames += fill_large(m, walker.vm, page, slot, vpn, is_store)
    else:
        frames += fill(m, walker.core, walker.vcpu, page, slot, is_store)
    cycles = m.cost[at.HIDDEN_FAULT] + frames * m.cost[at.ZERO_PAGE]
    return vm_exit(m, walker.core, walker.vcpu, Exit.HIDDEN_FAULT, cycles), False


@part
def lacks_pages(m, vcpu, vpn):
    """Tell by a pure look whether the way to a page's entry lacks shadow pages."""
    slot, level = way_to(m, vcpu, vpn, False)
    if level == 1 or m.shadow.entries[slot] & at.PRESENT:
        return False
    return lacks_pieces(m, m.vcpu[vcpu, at.VM], slot // at.TABLE_ENTRIES, vpn, level)


@kernel
def _read_entry(m, slot, level, is_store, is_lean):
    """Read a shadow entry as a walker does: A is set, and D on the leaf of a store; 0 if it is a fault."""
    entry = m.shadow.entries[slot]
    needed = at.PRESENT
    wanted = entry | at.ACCESSED
    if is_store and is_guest_leaf(entry, level, is_lean):
        needed |= at.WRITABLE
        wanted |= at.DIRTY
    if entry & needed != needed:
        return np.int64(0)
    if wanted != entry:
        m.shadow.entries[slot] = wanted
    return wanted


@kernel
def _is_allowed(m, walker, vpn, is_store):
    """Tell whether the guest's own table lets the access happen."""
    table = m.shadow.page[m.vcpu[walker.vcpu, at.SHADOW_ROOT], GUEST_TABLE]
    for level in range(walker.levels, 0, -1):
        entry = m.guests.tables[slot_in_table(table, vpn, level)]
        is_leaf = is_guest_leaf(entry, level, False)
        if entry & at.PRESENT == 0 or (is_leaf and is_store and entry & at.WRITABLE == 0):
            return False
        if is_leaf:
            break
        table = entry >> at.CHILD_SHIFT
    return True


@kernel
def way_to(m, vcpu, vpn, is_whole):
    """Return (where a page's shadow entry lies, or the absent one on the way to it, the level of that).

    The way to a whole page ends at the entry that stands for the guest's, also where that leads to pieces.
    """
    page = m.vcpu[vcpu, at.SHADOW_ROOT]
    level = m.guests.vm[m.vcpu[vcpu, at.VM], at.LEVELS]
    while True:
        slot = slot_in_table(page, vpn, level)
        child = m.shadow.entries[slot] >> at.CHILD_SHIFT
        if child == NONE or (is_whole and is_of_pieces(m, child)):
            return slot, level
        page = child
        level -= 1


@kernel
def _is_absent_in_both(m, walker, vpn):
    """Tell whether the guest's entry is absent just where the shadow's is: then its fault needs no VMM."""
    page = m.vcpu[walker.vcpu, at.SHADOW_ROOT]
    for level in range(walker.levels, 0, -1):
        table = m.shadow.page[page, GUEST_TABLE]
        above = m.guests.tables[slot_in_table(table, vpn, level)]
        if above & at.PRESENT == 0:
            return True
        entry = m.shadow.entries[slot_in_table(page, vpn, level)]
        if entry & at.PRESENT == 0 or above & at.LARGE_PAGE:
            return False
        page = entry >> at.CHILD_SHIFT
    return False


@kernel
def _leaf_page(m, walker, vpn):
    """Make what is missing of the shadow on the way to a page that the guest maps.

    Returns (the shadow page of the guest's table that maps it, its level, frames taken).
    """
    page = m.vcpu[walker.vcpu, at.SHADOW_ROOT]
    frames = np.int64(0)
    for level in range(walker.levels, 1, -1):
        frames += _go_through(m, walker.core, walker.vcpu, page)
        slot = slot_in_table(page, vpn, level)
        above = slot_in_table(m.shadow.page[page, GUEST_TABLE], vpn, level)
        if m.guests.tables[above] & at.LARGE_PAGE:
            return page, np.int64(level), frames
        if m.shadow.entries[slot] & at.PRESENT == 0:
            table = m.guests.tables[above] >> at.CHILD_SHIFT
            m.guests.tables[above] |= at.ACCESSED
            child = np.int64(m.shadow.of_table[table])
            if child == NONE:
                frames += 1
                child = shadow_of(m, walker.vm, table, level - 1)
            set_child(m, page, slot % at.TABLE_ENTRIES, child)
        page = m.shadow.entries[slot] >> at.CHILD_SHIFT
    return page, np.int64(1), frames + _go_through(m, walker.core, walker.vcpu, page)


@kernel
def _go_through(m, core, vcpu, page):
    """Note that a fault has used a shadow page: what it follows is protected from now on, where writes are traced.

    The VMM reads the guest's table for it, and gives it a frame if it has taken that away; return the frames taken.
    """
    vm = m.vcpu[vcpu, at.VM]
    m.shadow.page[page, WRITES] = 0
    if m.cost[at.SHADOW_VARIANT] != VIRTUAL_TLB and m.shadow.page[page, STATE] == OPEN:
        m.shadow.page[page, STATE] = TRACED
    ppn = np.int64(m.guests.ppns[m.shadow.page[page, GUEST_TABLE]])
    return np.int64(0) if is_backed(m, vm, ppn) else supply(m, core, vcpu, vm, ppn, np.int64(0))


@kernel
def shadow_of(m, vm, table, level):
    """Take a shadow page for a guest's table, and keep it for others who come to that table."""
    page = new_shadow(m, vm, table, level)
    if m.cost[at.SHADOW_VARIANT] != VIRTUAL_TLB:
        m.shadow.of_table[table] = page
    return page


@kernel
def fill(m, core, vcpu, page, slot, is_store):
    """Fill the shadow of a present leaf, for a store or a load; return the frames taken."""
    vm = m.vcpu[vcpu, at.VM]
    wanted = mark_leaf(m, slot, is_store)
    frames = np.int64(0)
    if not is_backed(m, vm, page_of(wanted)):
        frames += supply(m, core, vcpu, vm, page_of(wanted), np.int64(0))
    bits = at.PRESENT | (at.WRITABLE if is_dirty_entry(wanted) else 0)
    set_leaf(m, page, slot % at.TABLE_ENTRIES, m.guests.vm[vm, at.BASE] + page_of(wanted), bits)
    return frames
