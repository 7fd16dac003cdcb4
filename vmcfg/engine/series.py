"""Series: what VMs hold and what happened to them, sampled at equal intervals of simulated time, and at the end.

Counters are kept as they stand, so that any two samples tell what lies between them. A run that turns out longer than
MOST intervals keeps every second sample, again and again: its intervals double, and no table grows without bound.
"""

from __future__ import annotations

from vmcfg.engine.collect import pages_of
from vmcfg.metrics.events import Event
from vmcfg.metrics.result import Sample
from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at

MOST = 1000


class Series:
    """The samples of a host's VMs."""

    def __init__(self, host: HostPlan, machine: at.Machine) -> None:
        self._host, self._machine = host, machine
        self._kept: list[tuple[Sample, ...]] = []
        self._stride = 1
        self._seen = 0

    def add(self) -> None:
        """Take a sample of each VM, if its turn has come."""
        self._seen += 1
        if self._seen % self._stride == 0:
            self._kept.append(self._now())
        if len(self._kept) > MOST:
            self._kept = self._kept[1::2]
            self._stride *= 2

    def end(self) -> tuple[tuple[Sample, ...], ...]:
        """Return the samples of each VM by time, with one at the end of the run."""
        last = self._now()
        before = [taken for taken in self._kept if taken[0].cycles < last[0].cycles]
        return tuple(zip(*before, last, strict=True))

    def _now(self) -> tuple[Sample, ...]:
        return tuple(self._of_vm(number) for number in range(len(self._host.vms)))

    def _of_vm(self, number: int) -> Sample:
        machine, plan = self._machine, self._host.vms[number]
        counted = machine.counters[plan.first_row : plan.first_row + 1 + plan.phases].sum(axis=0)
        return Sample(
            cycles=int(machine.sched[at.NOW]),
            host_free=int(machine.host.counts[at.FRAME_FREE]),
            pages=pages_of(self._host, machine, number),
            counters={event.name.lower(): int(counted[event]) for event in Event},
        )
