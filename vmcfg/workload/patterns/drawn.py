"""What the touches of one pattern have in common, read once and kept in registers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.jit import kernel
from vmcfg.workload import fields as work

WORDS = np.uint64(4)  # of a touch: page, line, kind, spare
KIND_WORD = np.uint64(2)
SPARE_WORD = np.uint64(3)
MILLION = np.uint64(1_000_000)

_NONE = np.uint64(0)


class Drawn(NamedTuple):
    """The fields of a row of `work.phases` that say how pages are picked; see `workload.fields`."""

    kind: int
    first_vpn: int
    pages: int
    hot_pages: int
    hot_share_ppm: int
    stride_bytes: int
    leap_bytes: int
    scatter_bits: int
    scatter: np.uint64  # mixed key of the permutation
    zipf_place: tuple[np.uint64, np.uint64, np.uint64, np.uint64]  # of the table among those joined


@kernel
def drawn_of(m, row):
    """Return what row `row` of `work.phases` says."""
    phases = m.work.phases
    place = (_NONE, _NONE, _NONE, _NONE)
    if phases[row, work.KIND] == work.ZIPF:
        places, table = m.work.zipf_places, phases[row, work.ZIPF_TABLE]
        place = (places[table, 0], places[table, 1], places[table, 2], places[table, 3])
    return Drawn(
        phases[row, work.KIND],
        phases[row, work.FIRST_VPN],
        phases[row, work.PAGES],
        phases[row, work.HOT_PAGES],
        phases[row, work.HOT_SHARE_PPM],
        phases[row, work.STRIDE_BYTES],
        phases[row, work.LEAP_BYTES],
        phases[row, work.SCATTER_BITS],
        m.work.scatter[row],
        place,
    )
