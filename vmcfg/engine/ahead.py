"""Looking ahead: ask for memory before the walk needs it. It changes nothing, and nothing depends on it.

On a stream of TLB misses each walk waits for two cache lines far away: the guest's leaf entry and, nested, the
pmap. Both addresses can be known early because the batch is there. So an access asks for the leaf entry of the one that
comes FAR after it, and for the pmap entry that a leaf entry leads to which was asked for a while ago and has arrived:
that of the access NEAR after it. The table above the leaf is read as the walk will read it; which one that is for a GiB
of a process is remembered from the last time, in a few hints. A wrong hint asks for the wrong line, and that is all. On
a stream of hits looking ahead would only cost, so it is switched on by the share of walks in the stretch before.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.core import TABLE_BITS, walk_key
from vmcfg.jit import kernel, part, prefetch
from vmcfg.mmu.walks import NATIVE, SHADOW, page_of, slot_in_table
from vmcfg.vmm import machine as at

FAR, NEAR = 20, 10  # accesses: a trip to memory lasts about as long as five of them, now and then twice that
KEY, TABLE = range(2)  # of a hint: which GiB of which process, and its table of level 2


@kernel
def look_ahead(m, walker, position, end, mode):
    """Prefetch for accesses that come after the one at `position`, of those before `end`."""
    if mode == SHADOW or walker.levels == 0 or walker.bits != TABLE_BITS:
        return  # its tables are others, there are none, or they have more entries
    place = min(position + FAR, end - 1)
    vpn = (m.work.buffer[walker.vcpu, place] >> at.VPN_SHIFT) & at.VPN_MASK
    entry = m.guests.tables[slot_in_table(_table_above_leaf(m, walker, vpn), vpn, 2)]
    slot = slot_in_table(entry >> at.CHILD_SHIFT, vpn, 1)
    prefetch(m.guests.tables, slot)
    if mode != NATIVE:
        prefetch(m.host.pmap, walker.base + page_of(entry))
        m.work.ahead[place & (at.AHEAD - 1)] = slot
        slot = m.work.ahead[(position + NEAR) & (at.AHEAD - 1)]
        prefetch(m.host.pmap, walker.base + page_of(m.guests.tables[slot]))


@kernel
def _table_above_leaf(m, walker, vpn):
    """Return the table that holds the entry of level 2 for a page, as far as is known."""
    gib = walk_key(vpn, 3)
    key = (walker.space << at.HINT_PROCESS_SHIFT) | gib
    hint = (gib ^ (walker.space << 3)) & (at.HINTS - 1)
    if m.work.hints[hint, KEY] != key:
        _find_out(m, walker, vpn, hint, key)
    return m.work.hints[hint, TABLE]


@part
def _find_out(m, walker, vpn, hint, key):
    """Walk to the table of level 2 for a page, or to the first absent entry on the way, and remember it."""
    table = walker.root_table
    for level in range(walker.levels + np.int64(walker.has_pointers), 2, -1):
        entry = m.guests.tables[slot_in_table(table, vpn, level)]
        if entry & at.PRESENT == 0:
            key = -1  # it may be there next time
            break
        table = entry >> at.CHILD_SHIFT
    m.work.hints[hint, KEY] = key
    m.work.hints[hint, TABLE] = table
