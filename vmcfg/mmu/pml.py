"""Page-modification logging (PML): the processor itself writes down which guest pages are modified.

Who wants to know, live migration for one, would otherwise write-protect all pages and take an exit for each that is
written. With PML, from Broadwell on, the walker that sets D in a leaf of the EPT also writes the page's address into a
log of 512 entries that the vCPU has, from the last entry down. Only D going from 0 to 1 is logged, so that a page is
logged once until somebody clears its D. The exits are few: before an access that must set A or D while the log is full,
hence at the 513th logged page, and nothing of that access has happened by then. The VMM reads the log, empties it and
re-enters.

What is logged is what walks do. A guest that zeroes a page does so past the walks, and leaves D to the first store by
the workload; tables of the guest count as written when they are read, as EPT's D bits have it. Where the VMM asks from
time to time (`mmu.dirty_log`, `vmm.dirty_rounds`) it clears D, and each page may be logged again; there the kernel's
own writes are logged too. Otherwise a run logs each page once. The log's own writes cost nothing.

Where pages are write-protected instead, what the walker finds is an EPT violation: the first write of a page in a round
exits, and the VMM lets it be written. That is what hypervisors did before there was a log.

Source: Intel SDM volume 3, section on page-modification logging.
"""

from __future__ import annotations

from vmcfg.hardware.core import drop_guest_physical
from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Exit
from vmcfg.vmm import machine as at
from vmcfg.vmm.dirty_log import BY_WRITE_PROTECTION, empty_log, lift_protection, note_write
from vmcfg.vmm.verbs import vm_exit


@kernel
def is_protecting(m):
    """Tell whether pages may not be written before the VMM has been asked."""
    return m.cost[at.LOGGING] == BY_WRITE_PROTECTION


@part
def drain_log(m, core, vcpu):
    """Leave the guest because its log is full, and empty that; return the cycles."""
    empty_log(m, vcpu)
    return vm_exit(m, core, vcpu, Exit.PML_FULL, m.cost[at.PML_FULL])


@part
def write_anyway(m, core, vcpu, ppn):
    """Leave the guest because it writes to a page that is write-protected, and lift that; return the cycles."""
    vm = m.vcpu[vcpu, at.VM]
    drop_guest_physical(m.stores, core, vm, ppn, False)
    reason = lift_protection(m, vcpu, m.guests.vm[vm, at.BASE] + ppn)
    return vm_exit(m, core, vcpu, reason, m.cost[at.EPT_VIOLATION])


@part
def note_violation(m, vcpu, ppn, is_store):
    """Note that a page has got its frame for a write, if it was one: the guest's tables are written when read."""
    gpid = m.guests.vm[m.vcpu[vcpu, at.VM], at.BASE] + ppn
    if is_store or m.host.pmap[gpid] & at.IS_TABLE:
        note_write(m, vcpu, gpid, False, True)
