"""Page-modification logging (PML): the processor itself writes down which guest pages are modified.

Who wants to know, live migration for one, would otherwise write-protect all pages and take an exit for each that is
written. With PML, from Broadwell on, the walker that sets D in a leaf of the EPT also writes the page's address into a
log of 512 entries that the vCPU has, from the last entry down. Only D going from 0 to 1 is logged, so that a page is
logged once until somebody clears its D. The exits are few: before an access that must set A or D while the log is full,
hence at the 513th logged page, and nothing of that access has happened by then. The VMM reads the log, empties it and
re-enters.

What is logged is what walks do. A guest that zeroes a page does so past the walks here, and leaves D to the first
store by the workload; tables of the guest count as written when they are read, as EPT's D bits have it. Nobody clears
D yet, so that a run logs each page once: the first round of a migration. The log's own writes cost nothing.

Source: Intel SDM volume 3, section on page-modification logging.
"""

from __future__ import annotations

from vmcfg.digest import HOST, fold
from vmcfg.jit import part
from vmcfg.metrics.events import Event, Exit
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import vm_exit


@part
def is_log_full(m, vcpu):
    """Tell whether the log has no room; then neither A nor D may be set."""
    return m.vcpu[vcpu, at.LOG_INDEX] < 0


@part
def log_page(m, vcpu, gpid):
    """Write down that D of a page has been set. The caller has made sure that there is room."""
    assert m.vcpu[vcpu, at.LOG_INDEX] >= 0
    m.vcpu[vcpu, at.LOG_INDEX] -= 1
    m.counters[m.vcpu[vcpu, at.ROW], Event.PAGES_LOGGED] += 1
    fold(m.digest, HOST, gpid)


@part
def drain_log(m, core, vcpu):
    """Leave the guest because its log is full, and empty that; return the cycles."""
    m.vcpu[vcpu, at.LOG_INDEX] = at.LOG_ENTRIES - 1
    return vm_exit(m, core, vcpu, Exit.PML_FULL, m.cost[at.PML_FULL])
