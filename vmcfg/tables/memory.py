"""Table `memory`: where each VM's configured pages are at the end of the run."""

from __future__ import annotations

from attrs import frozen

from vmcfg.metrics.result import RunResult, VmResult
from vmcfg.tables.column import COMPRESSION, FILES, RECLAIM, Column, count
from vmcfg.tables.subjects import VM
from vmcfg.tables.table import TableKind


@frozen
class VmMemory:
    """A row: where the pages of one VM are at the end."""

    vm: VmResult


def _pages(name: str, key: str, definition: str, only_with: str = "") -> Column:
    return count(name, "pages", definition, lambda row: row.vm.pages.get(key, 0), only_with)


def _vms(result: RunResult) -> list[VmMemory]:
    return [VmMemory(vm) for vm in result.vms]


MEMORY = TableKind(
    "memory",
    "Where each VM's pages are at the end of the run.",
    (
        VM,
        _pages("configured_pages", "configured", "The VM's memory: what follows, up to unbacked pages, together."),
        _pages("private_pages", "private", "Guest pages with a machine frame of their own."),
        _pages("ballooned_pages", "ballooned", "Guest pages given to the host.", RECLAIM),
        _pages("swapped_pages", "swapped", "Guest pages in the host's swap area.", RECLAIM),
        _pages("compressed_pages", "compressed", "Guest pages in the host's compression cache.", COMPRESSION),
        _pages("unbacked_pages", "unbacked", "Guest pages without a frame or slot: never touched, or given back."),
        _pages("guest_table_pages", "guest_tables", "Guest pages that hold the guest's page tables."),
        _pages("guest_swapped_pages", "guest_swapped", "Pages in the guest's own swap area.", RECLAIM),
        _pages("guest_cached_pages", "guest_cached", "Guest pages that hold pages of files.", FILES),
        _pages("guest_free_pages", "guest_free", "Guest pages on the guest's own free list."),
    ),
    _vms,
)
