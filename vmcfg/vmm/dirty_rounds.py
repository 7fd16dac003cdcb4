"""Rounds in which the VMM asks what a VM has modified, as the pre-copy of a live migration does.

Pre-copy sends all of a VM's memory while it runs, then what has been modified meanwhile, then what has been modified
during that, and so on, until so little is left that the VM can be stopped for it (Clark et al., Live Migration of
Virtual Machines, NSDI 2005). Whether that comes to an end depends on the pages that are written per round, and that is
what a round counts. To ask, the VMM takes each vCPU that runs out of the guest, reads its log, clears D of all pages
that have it, and flushes once for all: what a TLB holds with D would be written unseen. Nothing is sent here.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import HOST, fold
from vmcfg.jit import by_reference, entry
from vmcfg.metrics.events import Event, Exit
from vmcfg.vmm import machine as at
from vmcfg.vmm.dirty_log import BY_PML, clear_dirty, empty_log
from vmcfg.vmm.verbs import invalidate, vm_exit


@entry
def end_round(machine, vm):
    """Ask which pages of a VM have been modified since the last time; return how many, and begin anew."""
    m = by_reference(machine)
    first = m.guests.vm[vm, at.FIRST_VCPU]
    row = m.vcpu[first, at.ROW]
    pages = clear_dirty(m, vm)
    handling = invalidate(m, vm) if pages else np.int64(0)
    is_by_log = m.cost[at.LOGGING] == BY_PML
    for vcpu in range(first, m.sched[at.VCPUS]):
        if m.vcpu[vcpu, at.VM] != vm:
            break
        entries = empty_log(m, vcpu)
        m.counters[row, Event.LOG_ENTRIES_READ] += entries
        if m.vcpu[vcpu, at.STATUS] != at.FINISHED and (is_by_log or vcpu == first):
            core = vcpu % m.sched[at.CORES]
            handling += m.cost[at.PML_FULL] if is_by_log else np.int64(0)
            m.core[core, at.CLOCK] += vm_exit(m, core, np.int64(vcpu), Exit.DIRTY_LOG, handling)
            handling = np.int64(0)
    m.counters[row, Event.PAGES_COLLECTED] += pages
    fold(m.digest, HOST, (np.int64(vm) << 40) ^ pages)
    return pages
