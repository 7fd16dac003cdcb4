"""Looking ahead: ask for memory before the walk needs it. It changes nothing, and nothing depends on it.

On a stream of TLB misses each walk waits for two cache lines far away: the guest's leaf entry and, nested, the
pmap. Both addresses can be known early because the batch is there. Far ahead the leaf entry is found and asked
for; nearer, it has arrived, and the pmap entry that it leads to is asked for. On a stream of hits this would
only cost, so it is switched on by the share of walks in the stretch before.
"""

from __future__ import annotations

from vmcfg.jit import kernel, prefetch
from vmcfg.mmu.walks import NATIVE, page_of, slot_in_table
from vmcfg.vmm import machine as at

FAR = 24
NEAR = 12


@kernel
def look_ahead(m, walker, vcpu, position, end, mode):
    """Prefetch for the accesses FAR and NEAR behind `position` in the vCPU's buffer."""
    if position + FAR < end:
        slot, table_ppn = _leaf_slot(m, walker, m.work.buffer[vcpu, position + FAR] & at.VPN_MASK)
        m.work.ahead[(position + FAR) & (at.AHEAD - 1)] = slot
        prefetch(m.guests.tables, slot)
        if mode != NATIVE:
            prefetch(m.host.pmap, walker.base + table_ppn)
            prefetch(m.host.state, walker.base + table_ppn)
    if mode == NATIVE:
        return
    entry = m.guests.tables[m.work.ahead[(position + NEAR) & (at.AHEAD - 1)]]
    gpid = walker.base + page_of(entry)
    prefetch(m.host.pmap, gpid)
    prefetch(m.host.state, gpid)


@kernel
def _leaf_slot(m, walker, vpn):
    """Return (the leaf slot of a page, its table's PPN), or those of the first absent entry on the way."""
    ppn = walker.root_ppn
    slot = slot_in_table(walker.root_table, vpn, at.GUEST_LEVELS)
    for level in range(at.GUEST_LEVELS - 1, 0, -1):
        entry = m.guests.tables[slot]
        if entry & at.PRESENT == 0:
            return slot, ppn
        ppn = page_of(entry)
        slot = slot_in_table(entry >> at.CHILD_SHIFT, vpn, level)
    return slot, ppn
