"""INVPCID: a kernel that drops translations of its address spaces by their tags, the loaded one or others.

Its four types drop, of the core that executes it (SDM 4.10.4.1):

    0  one page of one PCID: its TLB entries, in whatever pieces, and the walk-cache entries on its path
    1  all of one PCID
    2  all of all PCIDs, with global entries
    3  all of all PCIDs, without them

Types 0, 1 and 3 leave global entries, where INVLPG drops those of its page too; and type 0 leaves the walk caches of
other addresses, where INVLPG empties them. No type concerns other VMs, or guest-physical mappings. With KPTI a process
has two PCIDs, and types 0 and 1 are executed for each. It does not exit, and no other core hears of it.

Each INVPCID is counted, and costs, as an INVLPG.
"""

from __future__ import annotations

from vmcfg.guest.address_space import leaf_slot
from vmcfg.guest.mapping import nth_page
from vmcfg.guest.processes import next_living
from vmcfg.guest.switching import flush_process, flush_processes
from vmcfg.hardware.core import drop_page, drop_pieces, drop_way, flush_linear
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below
from vmcfg.workload import fields as work


@part
def flush(m, core, vcpu, event, times):
    """Execute the INVPCID of an event; return its cycles."""
    what, vm = m.work.events[event, work.EVENT_WHAT], m.vcpu[vcpu, at.VM]
    process = m.vcpu[vcpu, at.PROCESS]
    if m.work.events[event, work.EVENT_OF_NEXT]:
        process = next_living(m, process)
    executed = 1
    if what == work.FLUSH_ALL or what == work.FLUSH_ALL_WITH_GLOBALS:
        flush_processes(m, core, vm)
        if what == work.FLUSH_ALL_WITH_GLOBALS:
            space = m.guests.vm[vm, at.GLOBAL_SPACE]
            flush_linear(m.stores, core, space, space + 1)
    else:
        executed += m.guests.vm[vm, at.HAS_KPTI]
        if what == work.FLUSH_PAGE:
            _drop_page(m, core, process, nth_page(m, event, times, 0))
        else:
            flush_process(m, core, process)
    cycles = executed * m.cost[at.INVLPG]
    m.counters[m.vcpu[vcpu, at.ROW], Event.INVLPGS] += executed
    m.counters[m.vcpu[vcpu, at.ROW], Event.FLUSH_CYCLES] += cycles
    return cycles


@kernel
def _drop_page(m, core, process, vpn):
    """Drop a page of a process, of whatever size, and the way to it."""
    _, level = leaf_slot(m, process, vpn)
    if level > 1:
        drop_pieces(m.stores, core, process, vpn & -pages_below(level), pages_below(level))
    else:
        drop_page(m.stores, core, process, vpn)
    drop_way(m.stores, core, process, vpn, m.guests.vm[m.guests.process[process, at.PROCESS_VM], at.INDEX_BITS])
