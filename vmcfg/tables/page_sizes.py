"""Table `page_sizes`: how large pages turned out. Hosts where all pages are of 4 KiB have no rows."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.metrics.events import Sized
from vmcfg.metrics.result import RunResult
from vmcfg.tables.column import Column, count
from vmcfg.tables.subjects import MODE, PHASE, VM, VmPhase, vm_phases
from vmcfg.tables.table import TableKind


def _with_large_pages(result: RunResult) -> Iterator[VmPhase]:
    return (row for row in vm_phases(result) if Sized.BACKED_4K.name.lower() in row.phase.counters)


def _sized(which: Sized, unit: str, definition: str) -> Column:
    key = which.name.lower()
    return count(key, unit, definition, lambda row: row[key])


PAGE_SIZES = TableKind(
    "page_sizes",
    "How large the pages turned out by which memory was backed.",
    (
        VM,
        MODE,
        PHASE,
        _sized(Sized.BACKED_4K, "exits", "EPT violations answered with a host page of 4KiB."),
        _sized(Sized.BACKED_2M, "exits", "EPT violations answered with a host page of 2MiB."),
        _sized(Sized.BACKED_1G, "exits", "EPT violations answered with a host page of 1GiB."),
        _sized(Sized.BACKED_SMALLER, "exits", "Those answered with a smaller page than the host is asked for."),
    ),
    _with_large_pages,
)
