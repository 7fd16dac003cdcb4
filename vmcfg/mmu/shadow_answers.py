"""What the VMM makes of a guest's dealings with its page tables under shadow paging: see `mmu.shadow` for the idea.

Writes to entries, loads of CR3, INVLPG, and pages that hold a table no more. A load of CR3 or an INVLPG that exits is
not executed, so the VMM drops for the guest what it would have dropped, by INVVPID where VPIDs keep translations over
the exit: of one context (type 1) for CR3, which takes all of the VM's linear mappings, and of one address (type 0) for
INVLPG, with all of the space's walk-cache entries, as INVLPG does; the manual lets INVVPID drop more than it must. Type
2, all contexts, is for VMMs that hand out VPIDs anew, and type 3 spares global entries, which shadow tables have not.

Under `unsync`, each vCPU has a few leaf tables that may disagree with their shadows until one of these says that they
must not.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import flush_linear
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Exit
from vmcfg.mmu.shadow import UNSYNC, VIRTUAL_TLB, fill, shadow_of, way_to
from vmcfg.mmu.walks import is_dirty_entry, page_of
from vmcfg.vmm import machine as at
from vmcfg.vmm.shadow_pages import (
    GUEST_TABLE,
    LAST_WRITTEN,
    LEVEL,
    NONE,
    OPEN,
    PAGE_VM,
    STATE,
    TRACED,
    UNSYNCED,
    WRITES,
    cut,
    empty,
    frame_of,
    free_shadow,
    free_tree,
    zap,
)
from vmcfg.vmm.verbs import is_backed, vm_exit


@part
def written(m, core, vcpu, slot):
    """Answer a guest's write to an entry of its page table, already made; return the cycles of the exit, if it did."""
    page = np.int64(m.shadow.of_table[slot // at.TABLE_ENTRIES])
    if page == NONE or m.shadow.page[page, STATE] != TRACED:
        return np.int64(0)
    if m.cost[at.SHADOW_VARIANT] == UNSYNC and m.shadow.page[page, LEVEL] == 1:
        cycles = m.cost[at.TRACE_FAULT] + _let_out_of_sync(m, vcpu, page) * m.cost[at.HIDDEN_FAULT]
        return vm_exit(m, core, vcpu, Exit.TRACE_FAULT, cycles)
    _count_write(m, page, slot % at.TABLE_ENTRIES)
    cut(m, page, slot % at.TABLE_ENTRIES)
    frames = np.int64(0)
    if m.shadow.page[page, WRITES] >= at.WRITE_FLOOD:
        _let_go(m, page)
    elif m.cost[at.INSTALLS] and m.shadow.page[page, LEVEL] == 1 and _is_in_memory(m, page, m.guests.tables[slot]):
        frames = fill(m, core, vcpu, page, slot, m.vcpu[vcpu, at.FAULTING_STORE] != 0)
    return vm_exit(m, core, vcpu, Exit.TRACE_FAULT, m.cost[at.TRACE_FAULT] + frames * m.cost[at.ZERO_PAGE])


@kernel
def _is_in_memory(m, page, entry):
    """Tell whether an entry maps a page that has a frame: what the host has paged out is not read in for a write."""
    return entry & at.PRESENT != 0 and is_backed(m, m.shadow.page[page, PAGE_VM], page_of(entry))


@part
def cr3_loaded(m, core, vcpu, payer, root):
    """Answer a load of CR3 with a guest's root table; return the cycles of the exit, if it did, which `payer` pays."""
    space = m.guests.vm[m.vcpu[vcpu, at.VM], at.GLOBAL_SPACE]  # shadow entries know no G
    flush_linear(m.stores, core, space, space + 1)
    handling = enter_root(m, vcpu, root) * m.cost[at.ZERO_PAGE]
    handling += _sync_all(m, vcpu) * m.cost[at.HIDDEN_FAULT]
    if _is_target(m, vcpu, root):
        return np.int64(0)
    m.counters[m.vcpu[payer, at.ROW], Event.INVVPIDS_CONTEXT] += m.cost[at.HAS_VPID]
    return vm_exit(m, core, payer, Exit.CR3_LOAD, m.cost[at.SHADOW_CR3_LOAD] + handling)


@kernel
def enter_root(m, vcpu, root):
    """Let a vCPU use the shadow of a guest's root table from now on; return the frames that were taken for it."""
    vm = m.vcpu[vcpu, at.VM]
    page = np.int64(m.shadow.of_table[root])
    if m.cost[at.SHADOW_VARIANT] == VIRTUAL_TLB:
        page = np.int64(NONE)
        if m.vcpu[vcpu, at.SHADOW_ROOT] != NONE:
            free_tree(m, m.vcpu[vcpu, at.SHADOW_ROOT])
    frames = np.int64(page == NONE)
    if page == NONE:
        page = shadow_of(m, vm, root, m.guests.vm[vm, at.LEVELS])
    m.vcpu[vcpu, at.SHADOW_ROOT] = page
    return frames


@part
def page_invalidated(m, core, vcpu, payer, vpn):
    """Answer INVLPG: the entry of the page is dropped or compared; return the exit's cycles, which `payer` pays."""
    slot, _ = way_to(m, vcpu, vpn, True)
    page, place = slot // at.TABLE_ENTRIES, slot % at.TABLE_ENTRIES
    if m.cost[at.SHADOW_VARIANT] == VIRTUAL_TLB:
        cut(m, page, place)
    elif m.shadow.page[page, STATE] == UNSYNCED:
        _sync_entry(m, page, place)
    m.counters[m.vcpu[payer, at.ROW], Event.INVVPIDS_ADDRESS] += m.cost[at.HAS_VPID]
    return vm_exit(m, core, payer, Exit.INVLPG, m.cost[at.SHADOW_INVLPG])


@kernel
def entry_settled(m, slot):
    """Compare an entry that the guest has changed in a table that nobody may have loaded: it is used no more as it was.

    The guest need not flush for that, as loading the table's root does; and that may be done by any of its vCPUs.
    """
    page = np.int64(m.shadow.of_table[slot // at.TABLE_ENTRIES])
    if page != NONE and m.shadow.page[page, STATE] == UNSYNCED:
        _sync_entry(m, page, slot % at.TABLE_ENTRIES)


@part
def table_freed(m, vm, table, ppn):
    """Answer that a guest has given a page-table page back: the VMM finds out when the page is next written."""
    page = np.int64(m.shadow.of_table[table])
    if page == NONE:
        return
    if m.shadow.page[page, STATE] == TRACED:
        is_short = m.cost[at.SHADOW_VARIANT] == UNSYNC and m.shadow.page[page, LEVEL] == 1
        m.host.pmap[m.guests.vm[vm, at.BASE] + ppn] |= at.IS_TRACED_ONCE if is_short else at.IS_TRACED
    _forget(m, page)
    m.shadow.of_table[table] = NONE
    free_shadow(m, page)


@kernel
def _count_write(m, page, place):
    """Count an emulated write; from anew if what the last one filled has been used meanwhile."""
    last = m.shadow.entries[page * at.TABLE_ENTRIES + m.shadow.page[page, LAST_WRITTEN]]
    if last & at.ACCESSED:
        m.shadow.page[page, WRITES] = 0
    m.shadow.page[page, WRITES] += 1
    m.shadow.page[page, LAST_WRITTEN] = place


@kernel
def _let_go(m, page):
    """Stop following a table that is written again and again: its shadow is emptied, its writes are free."""
    empty(m, page)
    m.shadow.page[page, STATE] = OPEN
    m.shadow.page[page, WRITES] = 0


@kernel
def _let_out_of_sync(m, vcpu, page):
    """Lift a leaf table's protection, and put it into the slot of its frame; return how many others were synced.

    An occupant that is at home there moves on by one, and whoever is there is synced; any other is synced itself.
    """
    slots = m.cost[at.UNSYNC_SLOTS]
    kept = m.shadow.unsync
    m.shadow.page[page, STATE] = UNSYNCED
    home = _home(m, page, slots)
    newcomer = page
    occupant = np.int64(kept[vcpu, home])
    if occupant != NONE and slots > 1 and _home(m, occupant, slots) == home:
        kept[vcpu, home] = page
        newcomer = occupant
        home = (home + 1) % slots
    occupant = np.int64(kept[vcpu, home])
    kept[vcpu, home] = newcomer
    if occupant != NONE:
        _sync(m, occupant)
        return np.int64(1)
    return np.int64(0)


@kernel
def _home(m, page, slots):
    """Return the slot of the frame that holds the guest's table."""
    gpid = m.guests.vm[m.shadow.page[page, PAGE_VM], at.BASE] + m.guests.ppns[m.shadow.page[page, GUEST_TABLE]]
    return (m.host.pmap[gpid] >> at.MPN_SHIFT) % slots


@kernel
def _sync_all(m, vcpu):
    """Sync every table of the VM that is out of sync; return how many.

    Those that its other vCPUs let out of sync, too: whose kernel pages out writes to tables that only others walk.
    """
    synced = np.int64(0)
    for other in range(m.sched[at.VCPUS]):
        if m.vcpu[other, at.VM] == m.vcpu[vcpu, at.VM]:
            for slot in range(m.cost[at.UNSYNC_SLOTS]):
                page = np.int64(m.shadow.unsync[other, slot])
                if page != NONE:
                    m.shadow.unsync[other, slot] = NONE
                    _sync(m, page)
                    synced += 1
    return synced


@part
def _sync(m, page):
    """Drop what disagrees with the guest's leaf table, and protect that again."""
    for place in range(at.TABLE_ENTRIES):
        _sync_entry(m, page, place)
    m.shadow.page[page, STATE] = TRACED


@kernel
def _sync_entry(m, page, place):
    """Drop an entry of a leaf page unless it says what the guest's does."""
    shadow = m.shadow.entries[page * at.TABLE_ENTRIES + place]
    if shadow & at.PRESENT == 0:
        return
    entry = m.guests.tables[m.shadow.page[page, GUEST_TABLE] * at.TABLE_ENTRIES + place]
    gpid = m.guests.vm[m.shadow.page[page, PAGE_VM], at.BASE] + page_of(entry)
    is_same = entry & at.PRESENT and m.host.owner[frame_of(shadow)] == gpid
    if not is_same or (shadow & at.WRITABLE and not is_dirty_entry(entry)):
        zap(m, page, place)


@kernel
def _forget(m, page):
    """Take a shadow page that goes out of all lists of vCPUs."""
    for vcpu in range(m.sched[at.VCPUS]):
        for slot in range(m.cost[at.UNSYNC_SLOTS]):
            if m.shadow.unsync[vcpu, slot] == page:
                m.shadow.unsync[vcpu, slot] = NONE
        for slot in range(m.cost[at.CR3_TARGETS]):
            if m.shadow.targets[vcpu, slot] == m.shadow.page[page, GUEST_TABLE] + 1:
                m.shadow.targets[vcpu, slot] = NONE


@kernel
def _is_target(m, vcpu, root):
    """Tell whether loading a root needs no exit; one that does takes the next place in turn."""
    targets = m.cost[at.CR3_TARGETS]
    for slot in range(targets):
        if m.shadow.targets[vcpu, slot] == root + 1:
            return True
    if targets:
        m.shadow.targets[vcpu, m.vcpu[vcpu, at.TARGET_NEXT]] = root + 1
        m.vcpu[vcpu, at.TARGET_NEXT] = (m.vcpu[vcpu, at.TARGET_NEXT] + 1) % targets
    return False
