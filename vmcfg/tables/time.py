"""Table `time`: where each VM's cycles went; the charged parts add up to `cycles_per_access`."""

from __future__ import annotations

from vmcfg.metrics.events import CHARGED, Event
from vmcfg.tables.column import Column, Ratio, ratio
from vmcfg.tables.subjects import MODE, PHASE, VM, event, vm_phases
from vmcfg.tables.table import TableKind

CYCLES = "cycles"


def _per_access(part: Event) -> Column:
    key = part.name.lower()
    short = key.removesuffix("_cycles").removesuffix("_charged")
    definition = f"Cycles per access of the part {short}."
    return ratio(f"{short}_per_access", CYCLES, 3, definition, lambda row: Ratio(row[key], row["accesses"]))


TIME = TableKind(
    "time",
    "Where each VM's cycles went.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.BASE_CYCLES, CYCLES, "Charged for accesses as if each hit everywhere."),
        event(Event.TLB_CYCLES, CYCLES, "Charged for hits of the second-level TLB."),
        event(Event.WALK_CHARGED_CYCLES, CYCLES, "Charged for walks, divided by the walkers.", "walk_charged_cycles"),
        event(Event.EXIT_CYCLES, CYCLES, "Charged for VM exits and what the VMM did meanwhile."),
        event(Event.GUEST_FAULT_CYCLES, CYCLES, "Charged for the guest's own page-fault handler."),
        event(Event.GUEST_CYCLES, CYCLES, "Charged for what the guest's kernel did besides page faults."),
        event(Event.FLUSH_CYCLES, CYCLES, "Charged for invalidations that had to be executed."),
        event(Event.PACE_CYCLES, CYCLES, "Executing between paced touches, on pages already held."),
        event(Event.READY_CYCLES, CYCLES, "Ready to run, waiting for the core."),
        event(Event.DROPPED_CYCLES, CYCLES, "Given up by a schedule that was more than a second late."),
        *map(_per_access, CHARGED),
        ratio("cycles_per_access", CYCLES, 3, "All charged cycles per access.",
              lambda row: Ratio(row.charged_cycles, row["accesses"])),
    ),
    vm_phases,
)  # fmt: skip
