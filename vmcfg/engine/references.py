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
from vmcfg.vmm.paging import AHEAD, IS_TOLD, WHEN


@kernel
def is_told_of(m, vcpu):
    """Tell whether anybody is told of a vCPU's accesses: the policy of its host, or that of its guest."""
    return m.paging.rules[IS_TOLD] != 0 or m.guests.vm[m.vcpu[vcpu, at.VM], at.TOLD] != 0


@part
def tell(m, vcpu, vpn, touch):
    """Tell whom it concerns of a vCPU's touch, before anything of it happens that cannot be taken back."""
    vm = m.vcpu[vcpu, at.VM]
    rules, guest = m.paging.rules, m.guests.vm
    gpid = _mapped_page(m, vcpu, vm, vpn)
    if rules[IS_TOLD]:
        rules[WHEN] = _time(m, vm, touch, rules[IS_TOLD], rules[WHEN])
        _refer(m.paging.host, vm, gpid, rules[WHEN])
    if guest[vm, at.TOLD]:
        guest[vm, at.TOLD_WHEN] = _time(m, vm, touch, guest[vm, at.TOLD], guest[vm, at.TOLD_WHEN])
        _refer(m.paging.guest, vm, gpid, guest[vm, at.TOLD_WHEN])


@kernel
def _time(m, vm, touch, told, last):
    """Return what a policy is told of a touch: one more than of the last, or when its page is touched next."""
    if told == AHEAD:
        return m.paging.next_uses[m.guests.vm[vm, at.FORESEEN] + touch]
    return last + 1


@kernel
def _refer(layer, vm, gpid, when):
    """Say that a page has been accessed, if there is one and it is resident."""
    if gpid >= 0 and is_resident(layer, gpid):
        refer(layer, vm, gpid, when)


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
