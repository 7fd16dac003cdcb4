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
    "What became of the guests' large pages.",
    (
        VM,
        MODE,
        PHASE,
        count("mapped", "pages", "Large pages that the guest mapped: at faults, in system calls, by splitting 1GiB.",
              _mapped),
        _named("unmapped", "pages", Sized.LARGE_UNMAPPED, "Large pages that the guest unmapped whole."),
        _named("split", "pages", Sized.GUEST_SPLITS, "Large pages that the guest split into 512 parts."),
    ),
    with_large_pages,
)  # fmt: skip
