"""The guest's page-fault handler, and the same steps taken ahead of time.

A demand fault makes what is missing, top down: for each absent table a page is taken, zeroed and hung into its
parent; then the data page is taken, zeroed, and its leaf written with A = D = 0. Zeroing goes through
`gpa_access`, as all guest accesses by physical address do: in `nested` that is where a page without a frame
usually meets the VMM, before the walk ever sees it.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import GUEST, fold
from vmcfg.guest.pages import page_take, table_page_take
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.mmu.tables import gpt_write, leaf_entry, table_entry
from vmcfg.mmu.walks import page_of, slot_in_table
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import back, gpa_access, is_backed


@part
def demand_fault(m, core, vcpu, vpn):
    """Handle a fault on a page that the guest has not mapped; return its cycles, exits included."""
    row = m.vcpu[vcpu, at.ROW]
    process = m.vcpu[vcpu, at.PROCESS]
    vm = m.vcpu[vcpu, at.VM]
    own = m.cost[at.GUEST_FAULT]
    exits = np.int64(0)
    table = m.guests.process[process, at.ROOT_TABLE]
    for level in range(m.guests.vm[vm, at.LEVELS], 1, -1):
        slot = slot_in_table(table, vpn, level)
        if m.guests.tables[slot] & at.PRESENT == 0:
            ppn = _take_table_page(m, vm)
            exits += gpa_access(m, core, vcpu, ppn)
            exits += gpt_write(m, vcpu, slot, table_entry(ppn, new_table(m, ppn)))
            own += m.cost[at.ZERO_PAGE] + m.cost[at.GPT_WRITE]
            m.counters[row, Event.GUEST_TABLE_PAGES] += 1
        table = m.guests.tables[slot] >> at.CHILD_SHIFT
    ppn = page_take(m, vm)
    if m.guests.vm[vm, at.ZEROES]:
        exits += gpa_access(m, core, vcpu, ppn)
        own += m.cost[at.ZERO_PAGE]
    exits += gpt_write(m, vcpu, slot_in_table(table, vpn, 1), leaf_entry(ppn))
    own += m.cost[at.GPT_WRITE]
    m.counters[row, Event.GUEST_FAULTS] += 1
    m.counters[row, Event.GUEST_FAULT_CYCLES] += own
    fold(m.digest, GUEST, vpn)
    return own + exits


@part
def populate(m, process, vpn):
    """Map one page before the run, tables interleaved, at no cost; return the number of tables made."""
    vm = m.guests.process[process, at.PROCESS_VM]
    tables = 0
    table = m.guests.process[process, at.ROOT_TABLE]
    for level in range(m.guests.vm[vm, at.LEVELS], 1, -1):
        slot = slot_in_table(table, vpn, level)
        if m.guests.tables[slot] & at.PRESENT == 0:
            ppn = _take_table_page(m, vm)
            back_if_needed(m, vm, ppn)
            m.guests.tables[slot] = table_entry(ppn, new_table(m, ppn))
            tables += 1
        table = m.guests.tables[slot] >> at.CHILD_SHIFT
    slot = slot_in_table(table, vpn, 1)
    if m.guests.tables[slot] & at.PRESENT == 0:
        ppn = page_take(m, vm)
        back_if_needed(m, vm, ppn)
        m.guests.tables[slot] = leaf_entry(ppn)
    return tables


@kernel
def make_root(m, process):
    """Make a process's root table; return the frames that its page's violation took, 0 if it was backed."""
    vm = m.guests.process[process, at.PROCESS_VM]
    ppn = _take_table_page(m, vm)
    m.guests.process[process, at.ROOT_PPN] = ppn
    m.guests.process[process, at.ROOT_TABLE] = new_table(m, ppn)
    return back_if_needed(m, vm, ppn)


@kernel
def back_if_needed(m, vm, ppn):
    """Back a page unless it has a frame; return the number of frames taken."""
    if is_backed(m, vm, ppn):
        return 0
    return back(m, vm, ppn)


@kernel
def new_table(m, ppn):
    """Return the index of an unused, zeroed table in `guests.tables`, which is to lie in the page `ppn`."""
    table = m.guests.pool[0]
    m.guests.ppns[table] = ppn
    m.guests.pool[0] += 1
    return table


@part
def needs(m, process, vpn):
    """Return (guest pages an access to `vpn` would take, whether it touches a page without a frame).

    A pure look, made only when pages or frames are short: it decides whether the access can go on.
    """
    vm = m.guests.process[process, at.PROCESS_VM]
    table = m.guests.process[process, at.ROOT_TABLE]
    lacks_frame = not is_backed(m, vm, m.guests.process[process, at.ROOT_PPN])
    for level in range(m.guests.vm[vm, at.LEVELS], 0, -1):
        entry = m.guests.tables[slot_in_table(table, vpn, level)]
        if entry & at.PRESENT == 0:
            return level, True
        lacks_frame = lacks_frame or not is_backed(m, vm, page_of(entry))
        table = entry >> at.CHILD_SHIFT
    return 0, lacks_frame


@kernel
def _take_table_page(m, vm):
    ppn = table_page_take(m, vm)
    m.host.pmap[m.guests.vm[vm, at.BASE] + ppn] |= at.IS_TABLE
    return ppn
