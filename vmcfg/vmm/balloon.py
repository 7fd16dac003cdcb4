"""The VMM's side of ballooning: pages that a guest has given away, until it takes them back or touches them anyway.

A ballooned page has no frame, nor a slot in the host's swap area. A guest that touches one all the same, as one does
that crashes or boots again, pops the balloon: from then on all of its pages are as if never touched, and the driver
hears of it at its next contact. So nothing depends on guests leaving ballooned pages alone.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event
from vmcfg.vmm import machine as at
from vmcfg.vmm.compression import drop, is_compressed
from vmcfg.vmm.paging import give_slot_back, is_swapped


@kernel
def is_ballooned(m, gpid):
    """Tell whether a guest page is in a balloon."""
    return m.host.pmap[gpid] & at.KIND_MASK == at.BALLOONED


@kernel
def mark_ballooned(m, vm, row, gpid):
    """Put a page without a frame into the balloon; the slot, or place in a cache, that it may have is given back."""
    if is_compressed(m, gpid):
        m.counters[row, Event.COMPRESSED_DROPPED] += 1
        drop(m, vm, gpid)
    if is_swapped(m, gpid):
        drop_slot(m, row, gpid)
    m.host.pmap[gpid] = (m.host.pmap[gpid] & at.IS_TABLE) | at.BALLOONED


@kernel
def drop_slot(m, row, gpid):
    """Let a page that lies in the host's swap area be as if never touched: nobody wants to read it again."""
    m.counters[row, Event.HOST_SLOTS_DROPPED] += 1
    give_slot_back(m, gpid)
    m.host.pmap[gpid] &= at.IS_TABLE


@kernel
def unmark_ballooned(m, gpid):
    """Take a page out of the balloon, if it is still there: it is as if never touched."""
    if is_ballooned(m, gpid):
        m.host.pmap[gpid] &= ~np.int64(at.KIND_MASK)


@part
def pop(m, vm):
    """Let all pages of a VM's balloon be as if never touched."""
    base = m.guests.vm[vm, at.BASE]
    for number in range(m.guests.vm[vm, at.BALLOON_PAGES]):
        unmark_ballooned(m, base + m.guests.balloon[base + number])
    m.guests.vm[vm, at.IS_POPPED] = 1
    m.counters[m.vcpu[m.guests.vm[vm, at.FIRST_VCPU], at.ROW], Event.BALLOON_POPS] += 1
