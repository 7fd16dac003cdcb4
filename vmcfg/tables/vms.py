"""Table `vms`: how far each VM came, and how fast."""

from __future__ import annotations

from vmcfg.metrics.events import Event
from vmcfg.tables.column import Ratio, ratio
from vmcfg.tables.subjects import MODE, PHASE, VM, VmPhase, event, vm_phases
from vmcfg.tables.table import TableKind

NANOSECONDS = 1_000_000_000


def _time(row: VmPhase) -> Ratio:
    return Ratio(row.phase.elapsed_cycles * NANOSECONDS, row.vm.hz)


def _speed(row: VmPhase) -> Ratio:
    return Ratio(row["accesses"] * row.vm.hz, row.phase.elapsed_cycles)


def _cost(row: VmPhase) -> Ratio:
    return Ratio(row.charged_cycles, row["accesses"])


VMS = TableKind(
    "vms",
    "How far each VM came, and how fast.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.ACCESSES, "accesses", "Accesses retired: touches of pages times accesses per touch."),
        event(Event.GUEST_FAULTS, "faults", "Page faults that the guest's own kernel handled."),
        ratio("time_ns", "ns", 0, "Simulated time from the start of VM or phase to its last retired access.", _time),
        ratio("accesses_per_s", "1/s", 0, "Accesses per second of that time.", _speed),
        ratio("cycles_per_access", "cycles", 3, "Cycles charged to the VM per access; waiting is not charged.", _cost),
    ),
    vm_phases,
)
