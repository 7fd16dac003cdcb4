"""Table `guest`: what the guests' kernels did, and what they told the processor about their page tables."""

from __future__ import annotations

from vmcfg.metrics.events import Event
from vmcfg.tables.column import ZEROING
from vmcfg.tables.subjects import MODE, PHASE, VM, event, vm_phases
from vmcfg.tables.table import TableKind

GUEST = TableKind(
    "guest",
    "What the guests' kernels did to processes and page tables.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.SYSTEM_CALLS, "calls", "System calls, also those that change mappings or processes."),
        event(Event.KERNEL_ACCESSES, "accesses", "Accesses that system calls made to the kernel's memory."),
        event(Event.CONTEXT_SWITCHES, "switches", "Switches from one process to another."),
        event(Event.FORKS, "processes", "Processes made."),
        event(Event.PROCESS_EXITS, "processes", "Processes that ended."),
        event(Event.GUEST_FAULTS, "faults", "Page faults that the guest handled."),
        event(Event.COW_FAULTS, "faults", "Of these: stores to pages that processes share, which were copied."),
        event(Event.WRITE_FAULTS, "faults", "Of these: stores to pages without W that nobody shares."),
        event(Event.GPT_WRITES, "writes", "Writes of page-table entries."),
        event(Event.GUEST_TABLE_PAGES, "pages", "Page-table pages made.", "table_pages_made"),
        event(Event.TABLE_PAGES_FREED, "pages", "Page-table pages given back."),
        event(Event.BOOT_ZEROED_PAGES, "pages", "Pages zeroed before the workload began.", only_with=ZEROING),
        event(Event.FREED_ZEROED_PAGES, "pages", "Free pages zeroed by the kernel's thread.", only_with=ZEROING),
        event(Event.CR3_LOADS, "loads", "Loads of CR3, which flush unless address spaces are tagged."),
        event(Event.INVLPGS, "pages", "Pages invalidated one by one, on whatever vCPU."),
        event(Event.SHOOTDOWNS, "interrupts", "Interrupts sent to other vCPUs to make them invalidate."),
    ),
    vm_phases,
)  # fmt: skip
