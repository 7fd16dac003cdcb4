"""Table `flushes`: what dropped translations on purpose, guests and VMM; those of exits without VPID are in `exits`."""

from __future__ import annotations

from vmcfg.metrics.events import Event
from vmcfg.tables.subjects import MODE, PHASE, VM, event, vm_phases
from vmcfg.tables.table import TableKind

FLUSHES = TableKind(
    "flushes",
    "What guests and VMM executed to drop translations.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.CR3_LOADS, "loads", "Loads of CR3 by the guest, which flush unless address spaces are tagged."),
        event(Event.INVLPGS, "pages", "Pages that the guest invalidated one by one, on whatever vCPU."),
        event(Event.SHOOTDOWNS, "interrupts", "Interrupts sent to other vCPUs to make them invalidate."),
        event(Event.INVVPIDS_ADDRESS, "INVVPIDs", "Of the VMM, type 0: one address, for an INVLPG."),
        event(Event.INVVPIDS_CONTEXT, "INVVPIDs", "Of the VMM, type 1: one VPID, for a load of CR3."),
        event(Event.INVEPTS, "INVEPTs", "Of the VMM, one EPT on one core: after it took pages away, or cleared D."),
    ),
    vm_phases,
)  # fmt: skip
