"""Pages of files in address spaces: the page cache's own pages, mapped where a region says, by all processes alike.

A fault on one that is in the cache is a *minor* fault: only the page table is written. One that is not is read first,
and whoever touched it waits for the disk: a *major* fault. Either way the leaf allows stores, which set D in it. After
a fork both processes map the same page and see each other's stores: there is nothing to copy. All this holds for shared
memory, too, which is a file without a disk: what is missing comes from nowhere, or from the swap area.
"""

from __future__ import annotations

from vmcfg.guest.address_space import make_tables
from vmcfg.guest.data_pages import note_file_mapped
from vmcfg.guest.page_cache import cached_ppn, fetch, look_up
from vmcfg.guest.shared_memory import bring_in
from vmcfg.jit import part
from vmcfg.metrics.events import Event
from vmcfg.mmu.tables import gpt_write, leaf_entry
from vmcfg.mmu.walks import guest_slot
from vmcfg.vmm import machine as at
from vmcfg.vmm.files import is_on_disk


@part
def file_fault(m, core, vcpu, process, vpn, page):
    """Handle a fault on a page of a file; return (own cycles, cycles of exits)."""
    row = m.vcpu[vcpu, at.ROW]
    is_major = m.files.cached[page] == 0
    own, exits = map_file_page(m, core, vcpu, process, vpn, page)
    if is_on_disk(m, m.vcpu[vcpu, at.VM], page):
        m.counters[row, Event.FILE_FAULTS] += 1
        m.counters[row, Event.FILE_MAJOR_FAULTS] += is_major
        m.counters[row, Event.MAJOR_FAULTS] += is_major
    return own, exits


@part
def map_file_page(m, core, vcpu, process, vpn, page):
    """Map an absent page of a process to a page of a file; return (own cycles, cycles of exits)."""
    row, vm = m.vcpu[vcpu, at.ROW], m.vcpu[vcpu, at.VM]
    table, _, own, exits = make_tables(m, core, vcpu, process, vpn, 1)
    if not is_on_disk(m, vm, page):
        if m.files.cached[page] <= 0:
            making, leaving = bring_in(m, core, vcpu, page)
            own += making
            exits += leaving
    elif not look_up(m, row, page):
        exits += fetch(m, core, vcpu, page, m.host.counts[at.PROMISED])
    slot = guest_slot(m, vm, table, vpn, 1)
    exits += gpt_write(m, core, vcpu, slot, leaf_entry(cached_ppn(m, page)))
    note_file_mapped(m, process, vpn, slot)
    return own + m.cost[at.GPT_WRITE], exits
