"""References: what replacement policies of a host and its guests are told of each access, if they are of every one.

Hardware shows whether a page has been accessed, and no more. LRU, LFU, LRU-2 and Belady's optimum want to know of every
access; a simulator can tell them, so that there is a bound for what tables with A bits can do. An access is one
reference of its page if that is resident; else the page is going to enter, which its policy is told by itself. Host
and guests have an order each, of the same accesses: in the host's, a page may be resident that the guest has let go.
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
from vmcfg.vmm.paging import AHEAD, GUEST_WHEN, GUESTS_ARE_TOLD, IS_TOLD, WHEN


@kernel
def is_anybody_told(m):
    """Tell whether the host's policy, or its guests', is told of every access."""
    return m.paging.rules[IS_TOLD] != 0 or m.paging.rules[GUESTS_ARE_TOLD] != 0


@part
def tell(m, vcpu, vpn, touch):
    """Tell whom it concerns of a vCPU's touch, before anything of it happens that cannot be taken back."""
    vm = m.vcpu[vcpu, at.VM]
    gpid = _mapped_page(m, vcpu, vm, vpn)
    _tell(m, m.paging.host, vm, gpid, touch, IS_TOLD, WHEN)
    _tell(m, m.paging.guest, vm, gpid, touch, GUESTS_ARE_TOLD, GUEST_WHEN)


@kernel
def _tell(m, layer, vm, gpid, touch, is_told, when):
    """Tell a layer, if its rule says so, and keep the time that it was told."""
    rules = m.paging.rules
    if rules[is_told] == 0:
        return
    if rules[is_told] == AHEAD:
        rules[when] = m.paging.next_uses[m.guests.vm[vm, at.FORESEEN] + touch]
    else:
        rules[when] += 1
    if gpid >= 0 and is_resident(layer, gpid):
        refer(layer, vm, gpid, rules[when])


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
