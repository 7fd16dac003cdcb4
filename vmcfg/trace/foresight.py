"""What a walk will have cost, told while it goes on: data caches look its references up when it has ended.

A reference that has just been noted is found where the caches would find it now, after all that was noted before it. So
all is looked up here in a copy of them, by a twin of the kernels that nobody watches.
"""

from __future__ import annotations

import numpy as np

from vmcfg.hardware.data_caches import DataCaches
from vmcfg.mmu.walks import Walker
from vmcfg.trace.twin import Twin
from vmcfg.vmm import machine as at


class Foresight:
    """Asks the kernels what will come of what has been noted."""

    def __init__(self) -> None:
        twin = Twin({})
        self._look_up = twin.module("vmcfg.hardware.data_caches").look_up
        self._cycles_of = twin.module("vmcfg.mmu.references").cycles_of

    def place_of_last(self, caches: DataCaches, walker: Walker) -> int:
        """Return where the line that was noted last will be found."""
        copy = DataCaches(*(array.copy() for array in caches))
        last = int(copy.noted[0]) - 1
        self._look_up(copy, walker.core, walker.row, 0, last)
        before = copy.counts.copy()
        self._look_up(copy, walker.core, walker.row, last, last + 1)
        return int(np.flatnonzero(copy.counts[walker.row] - before[walker.row])[0])

    def cycles_of(self, machine: at.Machine, walker: Walker, tally: int) -> int:
        """Return what a walk costs that has counted `tally`, without what data caches take."""
        return int(self._cycles_of(machine, walker, tally))
