"""Table `large_pages`: what became of large pages. Hosts where all pages are of 4 KiB have no rows."""

from __future__ import annotations

from vmcfg.metrics.events import Sized
from vmcfg.tables.column import Column, count
from vmcfg.tables.page_sizes import with_large_pages
from vmcfg.tables.subjects import MODE, PHASE, VM, VmPhase
from vmcfg.tables.table import TableKind


def _named(name: str, unit: str, which: Sized, definition: str) -> Column:
    key = which.name.lower()
    return count(name, unit, definition, lambda row: row[key])


def _mapped(row: VmPhase) -> int:
    return row["mapped_2m"] + row["mapped_1g"] + row["large_mapped"]


LARGE_PAGES = TableKind(
    "large_pages",
    "What became of large pages, the guests' and the host's.",
    (
        VM,
        MODE,
        PHASE,
        count("mapped", "pages", "Large pages that the guest mapped: at faults, in system calls, by splitting 1GiB.",
              _mapped),
        _named("unmapped", "pages", Sized.LARGE_UNMAPPED, "Large pages that the guest unmapped whole."),
        _named("split", "pages", Sized.GUEST_SPLITS, "Large pages that the guest split into 512 parts."),
        _named("scanned", "ranges", Sized.RANGES_SCANNED, "Ranges of 2MiB that the guest looked at, to collapse them."),
        _named("collapsed", "ranges", Sized.COLLAPSED, "Of these: put together from small pages to one large page."),
        _named("copied_pages", "pages", Sized.COLLAPSE_COPIED, "Pages of 4KiB that were copied for that."),
        _named("added_pages", "pages", Sized.COLLAPSE_ADDED, "Pages that were absent before, and came along."),
        _named("host_scanned", "blocks", Sized.BLOCKS_SCANNED, "Blocks of 2MiB that the VMM looked at."),
        _named("promoted", "blocks", Sized.PROMOTED, "Of these: put together from small host pages to one large page."),
        _named("host_copied_pages", "pages", Sized.PROMOTE_COPIED, "Pages of 4KiB that the VMM copied for that."),
        _named("host_added_pages", "pages", Sized.PROMOTE_ADDED, "Pages that had no frame before, and came along."),
    ),
    with_large_pages,
)  # fmt: skip
