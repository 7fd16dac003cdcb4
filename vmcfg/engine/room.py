"""Room for an access or an event: whether there are the pages and frames that it takes, decided before it begins.

So nothing ever stops half-way for want of memory. What is short sends the kernel back to Python, which frees some, by
kernels of their own and by policy, or reports that there is none.
"""

from __future__ import annotations

from vmcfg.guest.fault import needs
from vmcfg.guest.reclaim import can_reclaim
from vmcfg.jit import kernel, part
from vmcfg.mmu import shadow
from vmcfg.vmm import machine as at
from vmcfg.vmm.machine import FRAME_FREE
from vmcfg.vmm.paging import is_at_capacity
from vmcfg.vmm.swap import area_of, flying

# Why the kernel returns to Python.
DONE, UNTIL, NEED_FRAMES, NEED_GUEST_PAGES, ALL_FINISHED, EVENTS_DUE, TOO_LONG = range(7)


@kernel
def may_run_short(m, walker):
    """Tell whether pages or frames are so few that an access could stop half-way: then `shortage` decides."""
    is_short = m.host.counts[FRAME_FREE] < m.host.counts[at.ASK_BELOW]
    return is_short or m.guests.vm[walker.vm, at.GUEST_FREE] < m.guests.vm[walker.vm, at.GUEST_MIN]


@kernel
def room_for(m, walker, vpn, is_store):
    """Return DONE if an access can go on, or what it needs before."""
    return shortage(m, walker.vcpu, vpn, is_store) if may_run_short(m, walker) else DONE


@kernel
def lacks_pages_of_guest(m, vm, pages):
    """Tell whether a guest must reclaim, or cannot go on, before so many of its pages are taken."""
    guest = m.guests.vm
    guest[vm, at.GUEST_WANTED] = pages
    if pages > guest[vm, at.GUEST_FREE]:
        return True
    if pages <= 0 or not can_reclaim(m, vm):
        return False
    return guest[vm, at.GUEST_FREE] + flying(m, area_of(vm)) < guest[vm, at.GUEST_MIN]


@part
def shortage(m, vcpu, vpn, is_store):
    """Decide by a pure look, before anything changes, whether an access can go on. Returns DONE or what it needs."""
    process = m.vcpu[vcpu, at.PROCESS]
    pages, lacks_frame = needs(m, process, vpn, is_store)
    if lacks_pages_of_guest(m, m.vcpu[vcpu, at.VM], pages):
        return NEED_GUEST_PAGES
    if m.cost[at.MODE] == at.SHADOW:
        lacks_frame = lacks_frame or shadow.lacks_pages(m, vcpu, vpn)
    if lacks_frame and (m.host.counts[FRAME_FREE] < m.host.counts[at.RESERVE] or is_at_capacity(m)):
        m.host.counts[at.WANTED] = m.host.counts[at.RESERVE]
        return NEED_FRAMES
    return DONE
