"""What rows are about: phases of VMs, their exits, VMs and hosts; and the columns that name them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from vmcfg.metrics.events import CHARGED, Event
from vmcfg.metrics.result import PhaseResult, RunResult, VmResult
from vmcfg.tables.column import COUNT, PHASES, Column, count, text

NAME_WIDTH = 16
MODE_WIDTH = 8


@frozen
class VmPhase:
    """One phase of one VM. The warm-up, phase 0, is none: tables do not show it."""

    vm: VmResult
    phase: PhaseResult

    def __getitem__(self, event: str) -> int:
        return self.phase.counters[event]

    @property
    def charged_cycles(self) -> int:
        return sum(self[part.name.lower()] for part in CHARGED)


@frozen
class ExitRow:
    """One exit reason in one phase of one VM."""

    vm: VmResult
    phase: PhaseResult
    reason: str
    count: int
    cycles: int


def vm_phases(result: RunResult) -> Iterator[VmPhase]:
    for vm in result.vms:
        for phase in vm.phases:
            if phase.phase > 0:
                yield VmPhase(vm, phase)


def exit_rows(result: RunResult) -> Iterator[ExitRow]:
    for row in vm_phases(result):
        for reason, (times, cycles) in row.phase.exits.items():
            yield ExitRow(row.vm, row.phase, reason, times, cycles)


def event(which: Event, unit: str, definition: str, name: str = "", only_with: str = "") -> Column:
    """Declare a column that shows a counter of a VM's phase; it has the counter's name unless told otherwise."""
    key = which.name.lower()
    return count(name or key, unit, definition, lambda row: row[key], only_with)


def of_vm(key: Callable[[VmResult], str] = lambda vm: vm.name) -> Callable[[Any], str]:
    return lambda row: key(row.vm)


VM = text("vm", "The VM's name.", of_vm(), NAME_WIDTH, is_key=True)
MODE = text("mode", "How its host translates addresses.", of_vm(lambda vm: vm.mode), MODE_WIDTH)
PHASE = Column(
    "phase", COUNT, "", 5, "The phase of the VM's workload, counted from 1.", lambda row: row.phase.phase,
    is_key=True, only_with=PHASES,
)  # fmt: skip
