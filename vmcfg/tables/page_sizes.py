"""Table `page_sizes`: how large pages turned out. Hosts where all pages are of 4 KiB have no rows."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.metrics.events import Sized
from vmcfg.metrics.result import RunResult
from vmcfg.tables.column import Column, count
from vmcfg.tables.subjects import MODE, PHASE, VM, VmPhase, vm_phases
from vmcfg.tables.table import TableKind


def with_large_pages(result: RunResult) -> Iterator[VmPhase]:
    """Return the rows of a run's VMs whose host has large pages."""
    return (row for row in vm_phases(result) if Sized.BACKED_4K.name.lower() in row.phase.counters)


def _sized(which: Sized, unit: str, definition: str) -> Column:
    key = which.name.lower()
    return count(key, unit, definition, lambda row: row[key])


PAGE_SIZES = TableKind(
    "page_sizes",
    "How large pages turned out: of the host, of the guest, and in TLBs.",
    (
        VM,
        MODE,
        PHASE,
        _sized(Sized.BACKED_4K, "exits", "EPT violations answered with a host page of 4KiB."),
        _sized(Sized.BACKED_2M, "exits", "EPT violations answered with a host page of 2MiB."),
        _sized(Sized.BACKED_1G, "exits", "EPT violations answered with a host page of 1GiB."),
        _sized(Sized.BACKED_SMALLER, "exits", "Those answered with a smaller page than the host is asked for."),
        _sized(Sized.MAPPED_4K, "faults", "Page faults that the guest answered with a page of 4KiB."),
        _sized(Sized.MAPPED_2M, "faults", "Page faults that the guest answered with a page of 2MiB."),
        _sized(Sized.MAPPED_1G, "faults", "Page faults that the guest answered with a page of 1GiB."),
        _sized(Sized.MAPPED_SMALLER, "faults", "Those answered with a smaller page than the guest wants."),
        _sized(Sized.FILLED_4K, "walks", "Walks that filled a TLB entry of 4KiB."),
        _sized(Sized.FILLED_2M, "walks", "Walks that filled a TLB entry of 2MiB."),
        _sized(Sized.FILLED_1G, "walks", "Walks that filled a TLB entry of 1GiB."),
        _sized(Sized.FILLED_SPLINTERED, "walks", "Walks that filled an entry smaller than the guest's page."),
    ),
    with_large_pages,
)
