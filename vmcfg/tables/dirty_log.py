"""Table `dirty_log`: guest pages logged as modified. VMs on hosts that log nothing have no rows."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.metrics.events import Event, Exit
from vmcfg.metrics.result import RunResult
from vmcfg.tables.column import count
from vmcfg.tables.subjects import MODE, PHASE, VM, VmPhase, event, vm_phases
from vmcfg.tables.table import TableKind

FULL = Exit.PML_FULL.name.lower()


def _logging(result: RunResult) -> Iterator[VmPhase]:
    return (row for row in vm_phases(result) if FULL in row.phase.exits)


DIRTY_LOG = TableKind(
    "dirty_log",
    "Guest pages that the processor logged as modified, and the exits of a full log.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.PAGES_LOGGED, "pages", "Guest pages, their tables among them, of which a walk set D in the EPT."),
        count(FULL, "exits", "Exits because the log was full.", lambda row: row.phase.exits[FULL][0]),
        count("pml_full_cycles", "cycles", "Cycles of these exits.", lambda row: row.phase.exits[FULL][1]),
    ),
    _logging,
)
