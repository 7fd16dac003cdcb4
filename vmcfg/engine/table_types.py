"""The types that the VMM of `paravirt` keeps of guest tables, checked from outside the kernels at an epoch's end.

a table has the type of its level just if a root that is pinned or loaded leads to it
it is referred to once for each entry of a table with a type that leads to it, and for each pin and CR3
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at


def check_types(host: HostPlan, machine: at.Machine) -> None:
    """Raise AssertionError if types or references are not what the tables say; other modes keep none."""
    if host.mode != "paravirt":
        return
    referrers: Counter[int] = Counter()
    types: dict[int, int] = {}
    for root, level in _roots(host, machine):
        _refer(machine, root, level, referrers, types)
    kept = {int(table): int(machine.guests.types[table]) for table in np.flatnonzero(machine.guests.types)}
    assert types == kept, "the VMM keeps other types than the tables have"
    counted = {int(table): int(machine.guests.referrers[table]) for table in np.flatnonzero(machine.guests.referrers)}
    assert referrers == counted, "the VMM miscounts what refers to tables"


def _roots(host: HostPlan, machine: at.Machine) -> Iterator[tuple[int, int]]:
    """Yield the roots that make tables live, with their level, as often as they are referred to."""
    processes = machine.guests.process
    holders = np.flatnonzero(processes[:, at.IS_LIVE]) if host.pins_roots else machine.vcpu[:, at.PROCESS]
    for process in holders:
        levels = host.vms[int(processes[process, at.PROCESS_VM])].vm.table_levels
        root, view = int(processes[process, at.ROOT_TABLE]), int(processes[process, at.KERNEL_ROOT_TABLE])
        yield root, levels
        if view != root:
            yield view, levels


def _refer(machine: at.Machine, table: int, level: int, referrers: Counter[int], types: dict[int, int]) -> None:
    referrers[table] += 1
    if table in types:
        return
    types[table] = level
    if level > 1:
        entries = machine.guests.tables[table * at.TABLE_ENTRIES : (table + 1) * at.TABLE_ENTRIES]
        for entry in entries[entries & at.PRESENT != 0]:
            _refer(machine, int(entry) >> at.CHILD_SHIFT, level - 1, referrers, types)
