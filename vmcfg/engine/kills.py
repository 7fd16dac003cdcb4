"""Guests that run out of memory: those that may end a process of their own do so, and it is kept who, when and why."""

from __future__ import annotations

from vmcfg.engine.paging import free_for
from vmcfg.engine.shortage import out_of_frames_for
from vmcfg.guest.killing import NO_FRAMES, NOBODY_LEFT, kill
from vmcfg.jit import pinned
from vmcfg.metrics.result import WORKLOAD, Kill
from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at
from vmcfg.vmm.reclaiming import NO_QUOTA, WAITS


class Kills:
    """The processes that guests of a host have killed so far, by VM."""

    def __init__(self, host: HostPlan, machine: at.Machine):
        self._host = host
        self._machine = machine
        self._of_vm: list[list[Kill]] = [[] for _ in host.vms]

    def kill(self, vcpu: int, asked_by: str) -> bool:
        """Let the guest of a vCPU end a process, at that vCPU's cost; tell whether who asked may try again.

        He may where a process was there and allowed to go, or where his vCPU waits for frames that a kill takes.

        Raises RunFailed: `out_of_frames`, where whoever is loaded instead needs some.
        """
        vm = int(self._machine.vcpu[vcpu, at.VM])
        guest = self._machine.guests.vm[vm]
        if not guest[at.KILLS]:
            return False
        now = int(self._machine.core[vcpu % self._host.cores, at.CLOCK])
        free = int(guest[at.GUEST_FREE])
        while (process := int(kill(pinned(self._machine), vcpu))) == NO_FRAMES:
            made = free_for(self._machine, vcpu, does_wait=asked_by == WORKLOAD)
            if made == NO_QUOTA:
                raise out_of_frames_for(self._host, self._machine, vm)
            if made == WAITS:
                return asked_by == WORKLOAD
        if process == NOBODY_LEFT:
            return False
        self._of_vm[vm].append(Kill(now, 1 + process, int(guest[at.GUEST_FREE]) - free, asked_by))
        return True

    def of(self, vm: int) -> tuple[Kill, ...]:
        """Return the kills of a VM in their order."""
        return tuple(self._of_vm[vm])
