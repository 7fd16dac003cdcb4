"""Machine frames: taken and given back, and nothing else.

Frames come as ascending MPNs; frames that were given back are used again first, last in first out. Every frame
has one kind at any time, and the counts of the kinds add up to the host's memory.
"""

from __future__ import annotations

import numpy as np

from vmcfg.digest import HOST, fold
from vmcfg.jit import kernel
from vmcfg.vmm.machine import FRAME_FREE, FRESH, TOP


@kernel
def frame_take(m, kind, owner):
    """Take a free frame for `owner` and return its MPN. The caller has made sure that there is one."""
    host = m.host
    if host.counts[TOP] > 0:
        host.counts[TOP] -= 1
        mpn = np.int64(host.free_list[host.counts[TOP]])
    else:
        mpn = host.counts[FRESH]
        host.counts[FRESH] += 1
    host.counts[FRAME_FREE] -= 1
    host.counts[kind] += 1
    host.kind[mpn] = kind
    host.owner[mpn] = owner
    host.refs[mpn] = 1
    fold(m.digest, HOST, (owner << 32) | mpn)
    return mpn


@kernel
def frame_free(m, mpn):
    """Give a frame back whose last mapping is gone."""
    host = m.host
    host.counts[np.int64(host.kind[mpn])] -= 1
    host.counts[FRAME_FREE] += 1
    host.kind[mpn] = FRAME_FREE
    host.refs[mpn] = 0
    host.owner[mpn] = 0
    host.free_list[host.counts[TOP]] = mpn
    host.counts[TOP] += 1
    fold(m.digest, HOST, ~mpn)
