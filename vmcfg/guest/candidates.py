"""Candidates: the pages that a guest may take from its processes, and what its replacement policy hears of them.

Where the policy is told of every access, accesses have an order, and so have pages that come with one of them: no two
of its times are equal. Under Belady's optimum the time is that of the next access to the page that is being touched,
which is the page that comes in. Elsewhere there is no time: what has been accessed, A bits say.
"""

from __future__ import annotations

from vmcfg.jit import kernel, part
from vmcfg.reclaim.replacement import enter, refer
from vmcfg.vmm import machine as at
from vmcfg.vmm.paging import IN_ORDER


@part
def note_candidate(m, vm, gpid):
    """Let a page of a guest be chosen from now on: it has come, or comes to its order anew."""
    enter(m.paging.guest, vm, gpid, _next_time(m, vm))


@part
def note_use_of(m, vm, gpid):
    """Say that a candidate has been accessed, past the page tables."""
    refer(m.paging.guest, vm, gpid, _next_time(m, vm))


@kernel
def _next_time(m, vm):
    m.guests.vm[vm, at.TOLD_WHEN] += m.guests.vm[vm, at.TOLD] == IN_ORDER
    return m.guests.vm[vm, at.TOLD_WHEN]
