"""Table `translation`: where each VM's addresses were translated, and what the page walks read."""

from __future__ import annotations

from vmcfg.metrics.events import Event
from vmcfg.tables.column import Ratio, ratio
from vmcfg.tables.subjects import MODE, PHASE, VM, VmPhase, event, vm_phases
from vmcfg.tables.table import TableKind

REFS = "references"


def _refs_per_walk(row: VmPhase) -> Ratio:
    return Ratio(row["walk_refs"], row["walks"])


TRANSLATION = TableKind(
    "translation",
    "Where addresses were translated, and what the page walks read.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.ACCESSES, "accesses", "Accesses retired; each is one of l1_hits, stlb_hits and walks."),
        event(Event.L1_HITS, "accesses", "Accesses whose translation was in the first-level TLB."),
        event(Event.STLB_HITS, "accesses", "Accesses that missed there and hit the second-level TLB."),
        event(Event.WALKS, "walks", "Completed page walks of accesses that missed both TLBs."),
        event(Event.GUEST_REFS, REFS, "References of those walks that read a guest page table."),
        event(Event.HOST_REFS, REFS, "References of those walks that read a host page table."),
        event(Event.WALK_REFS, REFS, "References of those walks: guest_refs and host_refs; the data itself is none."),
        event(Event.FAULT_REFS, REFS, "References of walks that ended in a fault; walk_refs does not hold them."),
        event(Event.DIRTY_WALKS, "walks", "Walks of stores that hit a TLB entry without its dirty bit."),
        event(Event.DIRTY_REFS, REFS, "References of dirty walks; walk_refs does not hold them."),
        event(Event.WALK_CYCLES, "cycles", "Cycles of all walks, before they are divided by the walkers."),
        event(Event.GUEST_WALK_CACHE_HITS, "hits", "Walk-cache hits that skipped levels of the guest's table."),
        event(Event.HOST_WALK_CACHE_HITS, "hits", "Walk-cache hits that skipped levels of the host's table."),
        event(Event.NESTED_TLB_HITS, "hits", "Nested-TLB hits, each in place of a whole walk of the host's table."),
        ratio("refs_per_walk", REFS, 3, "References per completed walk.", _refs_per_walk),
    ),
    vm_phases,
)  # fmt: skip
