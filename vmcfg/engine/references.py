"""References: what the host's replacement policy is told of each access, where it is told of every one.

Hardware shows whether a page has been accessed, and no more. LRU, LFU, LRU-2 and Belady's optimum want to know of every
access; a simulator can tell them, so that there is a bound for what tables with A bits can do. An access is one
reference of its page if that is resident; else the page is going to enter, which its policy is told by itself.
"""

from __future__ import annotations

import numpy as np

from vmcfg.guest.address_space import leaf_slot
from vmcfg.jit import kernel, part
from vmcfg.mmu.walks import page_of
from vmcfg.reclaim.layer import is_resident
from vmcfg.reclaim.replacement import refer
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import pages_below
from vmcfg.vmm.paging import AHEAD, IS_TOLD, WHEN


@part
def tell(m, vcpu, vpn, touch):
    """Tell the host's policy of a vCPU's touch, before anything of it happens that cannot be taken back."""
    vm = m.vcpu[vcpu, at.VM]
    if m.paging.rules[IS_TOLD] == AHEAD:
        m.paging.rules[WHEN] = m.paging.next_uses[m.guests.vm[vm, at.FORESEEN] + touch]
    else:
        m.paging.rules[WHEN] += 1
    gpid = _mapped_page(m, vcpu, vm, vpn)
    if gpid >= 0 and is_resident(m.paging.host, gpid):
        refer(m.paging.host, vm, gpid, m.paging.rules[WHEN])


@kernel
def _mapped_page(m, vcpu, vm, vpn):
    """Return the guest page that a virtual page is mapped to, or -1."""
    base = m.guests.vm[vm, at.BASE]
    if m.guests.vm[vm, at.LEVELS] == 0:
        return base + vpn
    leaf, level = leaf_slot(m, m.vcpu[vcpu, at.PROCESS], vpn)
    if leaf < 0 or m.guests.tables[leaf] & at.PRESENT == 0:
        return np.int64(-1)
    return base + page_of(m.guests.tables[leaf]) + (vpn & (pages_below(level) - 1))
