"""Table `page_cache`: pages of files that guests looked for in their memory, read from disks and wrote back."""

from __future__ import annotations

from vmcfg.metrics.events import Event
from vmcfg.tables.subjects import MODE, PHASE, VM, event, vm_phases
from vmcfg.tables.table import TableKind

PAGE_CACHE = TableKind(
    "page_cache",
    "Pages of files that guests looked for in their memory, read and wrote back.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.CACHE_LOOKUPS, "pages", "Pages of files looked for in the page cache, to read, write or map them."),
        event(Event.CACHE_HITS, "pages", "Of these: those that were there."),
        event(Event.CACHE_MISSES, "pages", "Of these: those that were not."),
        event(Event.FILE_PAGES_READ, "pages", "Pages that the guest read from files."),
        event(Event.FILE_READ_AHEAD, "pages", "Of these: those that came along, before anybody asked for them."),
        event(Event.FILE_PAGES_WRITTEN, "pages", "Dirty pages that the guest wrote to files."),
        event(Event.CACHE_DROPS, "pages", "Pages that left the page cache, clean or while they were written."),
        event(Event.FILE_FAULTS, "faults", "Page faults of the guest on pages of files."),
        event(Event.FILE_MAJOR_FAULTS, "faults", "Of these: major ones, which waited for the disk."),
    ),
    vm_phases,
)
