"""Table `hypercalls`: what paravirtual guests asked of the VMM. VMs in other modes have no rows."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.metrics.events import Event, Exit
from vmcfg.metrics.result import RunResult
from vmcfg.tables.column import Ratio, count, ratio
from vmcfg.tables.subjects import PHASE, VM, VmPhase, event, vm_phases
from vmcfg.tables.table import TableKind

CALL = Exit.HYPERCALL.name.lower()


def _asking(result: RunResult) -> Iterator[VmPhase]:
    return (row for row in vm_phases(result) if CALL in row.phase.exits)


def _calls(row: VmPhase) -> int:
    return row.phase.exits[CALL][0]


HYPERCALLS = TableKind(
    "hypercalls",
    "What paravirtual guests asked of the VMM, and what that checked.",
    (
        VM,
        PHASE,
        count("hypercalls", "exits", "Hypercalls, for whatever reason.", _calls),
        event(Event.MMU_UPDATES, "entries", "Entries of tables in use that they changed."),
        ratio("updates_per_call", "entries", 3, "Of these per hypercall.",
              lambda row: Ratio(row["mmu_updates"], _calls(row))),
        event(Event.TABLES_VALIDATED, "tables", "Tables checked whole, because something made them be in use."),
        event(Event.VALIDATED_ENTRIES, "entries", "Entries checked, in whole tables and one by one."),
    ),
    _asking,
)  # fmt: skip
