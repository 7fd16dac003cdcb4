"""Rolling digests: what happened, in which order, in 64 bits per subsystem.

An event is folded where it happens, never by reading arrays afterwards, so two runs whose digests agree took
the same path, and the first checkpoint that differs names the interval and the subsystem that diverged.
TLB hits are not folded one by one; at a checkpoint the counters are.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel

TRANSLATION = 0  # completed walks: which page, which frame, how many references
GUEST = 1  # guest page tables: every entry written, every fault handled
HOST = 2  # frames taken and given back, by whom
EXITS = 3  # why the VMM got control, and for which vCPU
SCHEDULE = 4  # which vCPU got which core, and when
COUNTERS = 5  # all counters, at checkpoints only
SUBSYSTEMS = ("translation", "guest", "host", "exits", "schedule", "counters")

_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio, odd: multiplication is a bijection
_S32 = np.uint64(32)


@kernel
def fold(digests, subsystem, event):
    """Fold a 64-bit `event` into one of `digests u64[subsystem]`: order matters, no event is lost."""
    mixed = (digests[subsystem] ^ np.uint64(event)) * _ODD
    digests[subsystem] = mixed ^ (mixed >> _S32)
