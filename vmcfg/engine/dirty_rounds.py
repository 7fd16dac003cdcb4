"""The rounds in which a VMM asks what its VMs have modified, as they end: see `vmm.dirty_rounds`."""

from __future__ import annotations

from vmcfg.jit import pinned
from vmcfg.metrics.result import DirtyRound
from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at
from vmcfg.vmm.dirty_log import BY_PML, BY_WRITE_PROTECTION
from vmcfg.vmm.dirty_rounds import end_round


def logging_of(host: HostPlan) -> int:
    """Return how it comes to be known which pages are modified."""
    return BY_PML if host.has_pml else BY_WRITE_PROTECTION if host.dirty_log else 0


class Rounds:
    """What was found, VM by VM."""

    def __init__(self, vms: int) -> None:
        self._found: list[list[DirtyRound]] = [[] for _ in range(vms)]

    def end(self, machine: at.Machine, vm: int) -> None:
        """End a round of a VM that has begun to run, and keep what it has modified."""
        vcpu = machine.vcpu[int(machine.guests.vm[vm, at.FIRST_VCPU])]
        if vcpu[at.PHASE] >= vcpu[at.FIRST_PHASE]:
            pages = int(end_round(pinned(machine), vm))
            self._found[vm].append(DirtyRound(int(machine.sched[at.NOW]), pages))

    def of(self, vm: int) -> tuple[DirtyRound, ...]:
        """Return the rounds of a VM in their order."""
        return tuple(self._found[vm])
