"""What loops ask for, and do not contain: entries that are compiled on their own and called by their addresses.

`m.answers[what]` is the address, or UNKNOWN. A loop that comes to need one that few hosts need returns to Python, which
finds it out (`engine.loop.Runner`); the others are there from the start. An entry takes the machine and a number. What
more it has to be told, and to say, passes through `m.asked`.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import call, kernel
from vmcfg.vmm.paging import PAGES

UNKNOWN = 0  # the address of an answer that has not been asked for
FAULTS, WALKS, GENERATE, STRAIGHT, EVENTS, FREE_PAGES, FREE_FRAMES = range(7)  # places in `m.answers`
ANSWERS = 7

FAULT, KERNEL_FAULT = range(2)  # the numbers that FAULTS takes
DIRTY_WALK, KERNEL_ACCESS = range(2)  # and WALKS

# m.asked
ASKED_CORE, ASKED_VCPU, ASKED_VPN, ASKED_STORE, ASKED_END, ASKED_PPN, ASKED_REFS = range(7)
ASKED_HALT, ASKED_LEFT = range(7, 9)
SAID_CYCLES, SAID_DONE = range(9, 11)
ASKED_FIELDS = 11


@kernel
def handle_fault(m, core, vcpu, vpn, is_store, end, ppn, refs, which):
    """Have handled what stopped a walk after so many references, a FAULT or a KERNEL_FAULT; return the cycles."""
    a = m.asked
    _ask_about(m, core, vcpu, vpn, is_store)
    a[ASKED_END], a[ASKED_PPN], a[ASKED_REFS] = end, ppn, refs
    return call(m.answers[FAULTS], m, which)


@kernel
def dirty_walk(m, core, vcpu, vpn):
    """Have D set for a store: see `engine.other_walks.dirty_walk`."""
    _ask_about(m, core, vcpu, vpn, True)
    handling = call(m.answers[WALKS], m, DIRTY_WALK)
    return handling, m.asked[SAID_CYCLES], m.asked[SAID_DONE]


@kernel
def kernel_access(m, core, vcpu, vpn):
    """Load from a page of the guest kernel's memory; return the cycles."""
    _ask_about(m, core, vcpu, vpn, False)
    return call(m.answers[WALKS], m, KERNEL_ACCESS)


@kernel
def go_straight(m, core, vcpu, halt, left):
    """Simulate accesses without translation: see `engine.straight`."""
    m.asked[ASKED_CORE], m.asked[ASKED_VCPU] = core, vcpu
    m.asked[ASKED_HALT], m.asked[ASKED_LEFT] = halt, left
    return call(m.answers[STRAIGHT], m, vcpu)


@kernel
def lacking(m):
    """Return which of the answers is not known that free a guest's pages, and frames of the host for that; or 0.

    Both are asked for before either changes anything: the turn that goes on when an answer is known begins with a new
    look, and would not do the same a second time.
    """
    if m.answers[FREE_PAGES] == UNKNOWN:
        return np.int64(FREE_PAGES)
    if m.paging.rules[PAGES] and m.answers[FREE_FRAMES] == UNKNOWN:
        return np.int64(FREE_FRAMES)
    return np.int64(0)


@kernel
def generate(m, vcpu):
    """Fill a vCPU's buffer: see `workload.generate`."""
    call(m.answers[GENERATE], m, vcpu)


@kernel
def _ask_about(m, core, vcpu, vpn, is_store):
    a = m.asked
    a[ASKED_CORE], a[ASKED_VCPU], a[ASKED_VPN], a[ASKED_STORE] = core, vcpu, vpn, np.int64(is_store)
