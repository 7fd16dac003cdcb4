"""The guest's free pages: ascending PPNs after its kernel, then the pages that were freed, last in first out."""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel
from vmcfg.vmm import machine as at


@kernel
def page_take(m, vm):
    """Take a free guest page and return its PPN. The caller has made sure that there is one."""
    guest = m.guests.vm
    guest[vm, at.GUEST_FREE] -= 1
    if guest[vm, at.GUEST_TOP] > 0:
        guest[vm, at.GUEST_TOP] -= 1
        return np.int64(m.guests.free_list[guest[vm, at.BASE] + guest[vm, at.GUEST_TOP]])
    ppn = guest[vm, at.GUEST_FRESH]
    guest[vm, at.GUEST_FRESH] += 1
    return ppn


@kernel
def page_free(m, vm, ppn):
    """Give a guest page back to its guest's free list; its frame stays, the VMM is not told."""
    guest = m.guests.vm
    m.guests.free_list[guest[vm, at.BASE] + guest[vm, at.GUEST_TOP]] = ppn
    guest[vm, at.GUEST_TOP] += 1
    guest[vm, at.GUEST_FREE] += 1
