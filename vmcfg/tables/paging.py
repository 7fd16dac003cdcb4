"""Table `paging`: pages that hosts and guests moved out of memory and back, and the time that this took."""

from __future__ import annotations

from vmcfg.metrics.events import Event
from vmcfg.tables.column import AHEAD, FILES, KILLS, REPORTING
from vmcfg.tables.subjects import MODE, PHASE, VM, event, vm_phases
from vmcfg.tables.table import TableKind

_EFFECTS = tuple(
    event(which, "pages", definition, only_with=FILES)
    for which, definition in (
        (Event.SILENT_WRITES, "Of the pages paged out: those written although they equal a block of the guest's disk."),
        (Event.IMAGE_DROPS, "Of the pages paged out: those dropped, as the host knew that they equal such a block."),
        (Event.IMAGE_PAGE_INS, "Of the pages needed: those read from the guest's disk."),
        (Event.HOST_FILE_PAGE_OUTS, "Of the pages paged out: those in the guest's page cache."),
        (Event.READ_AHEAD_UNUSED, "Of the pages that came along: those that went again before anybody used them."),
    )
)

PAGING = TableKind(
    "paging",
    "Pages that hosts and guests moved out of memory and back.",
    (
        VM,
        MODE,
        PHASE,
        event(Event.HOST_PAGE_OUTS, "pages", "Guest pages that the host paged out."),
        event(Event.PAGED_AHEAD, "pages", "Of the pages paged out: those sent ahead by watermarks.", only_with=AHEAD),
        event(Event.HOST_PAGE_INS, "pages", "Guest pages that the host paged in because they were needed."),
        event(Event.HOST_READ_AHEAD, "pages", "Guest pages that came along: neighbours in the host's swap area."),
        event(Event.FALSE_READS, "pages", "Of the pages needed: those read only to be zeroed or copied over."),
        event(Event.STALE_READS, "pages", "Of the pages needed: those read only to be read over by a guest's disk."),
        event(Event.PREVENTED_READS, "pages", "Of the pages needed: those not read, as they were overwritten."),
        *_EFFECTS,
        event(Event.HOST_SLOTS_DROPPED, "slots", "Slots of the host's swap area given back unread: ballooned, or off."),
        event(Event.MAJOR_FAULTS, "faults", "Page faults of the guest that waited for its own disk."),
        event(Event.GUEST_PAGE_OUTS, "pages", "Pages that the guest wrote to its own swap area."),
        event(Event.GUEST_PAGE_INS, "pages", "Pages that the guest read from there."),
        event(Event.GUEST_SLOTS_FREED, "slots", "Slots of the guest's swap area given back."),
        event(Event.DOUBLE_PAGE_OUTS, "pages", "Of the pages written: those that the host had paged out before."),
        event(Event.DOUBLE_PAGE_INS, "pages", "Of the pages read: those read into memory that was paged out."),
        event(Event.BALLOON_INFLATED, "pages", "Pages put into the balloon."),
        event(Event.BALLOON_DEFLATED, "pages", "Pages taken back from it."),
        event(Event.BALLOON_FRAMES_WON, "pages", "Of the pages put in: those that had a frame."),
        event(Event.BALLOON_POPS, "times", "Times that the balloon was given up: the guest touched it, or rebooted."),
        event(Event.REPORTED_PAGES, "pages", "Free pages that the guest reported.", only_with=REPORTING),
        event(Event.REPORT_FRAMES_WON, "pages", "Of these: those that had a frame.", only_with=REPORTING),
        event(Event.KILLS, "processes", "Processes that the guest ended, out of memory.", only_with=KILLS),
        event(Event.KILLED_PAGES, "pages", "Guest pages that came free by that.", only_with=KILLS),
        event(Event.BLOCKED_CYCLES, "cycles", "Waiting for disks."),
    ),
    vm_phases,
)  # fmt: skip
