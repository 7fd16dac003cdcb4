"""Frames that must be free before an access begins, for it must never stop half-way for want of one."""

from __future__ import annotations

from vmcfg.plan.model import pages_of_level
from vmcfg.scenario.spec import Vm, Workload

TABLE_ENTRIES = 512
PAGE_LEVELS = {4 << 10: 1, 2 << 20: 2, 1 << 30: 3}  # of the table entry that maps a page of so many bytes


def reserve(vm: Vm, workload: Workload, mode: str, host_levels: int) -> int:
    """Return how many frames must be free: those of an access, and where it may be to a file what it reads ahead.

    It reads ahead only what leaves the host twice what an access can take: see `guest.page_cache`.
    """
    frames = frames_of_access(vm, mode, host_levels)
    is_mapped = any(region.file for region in workload.regions)
    return 2 * frames + vm.page_cache.read_ahead_pages if frames and is_mapped and vm.page_cache else frames


def frames_of_access(vm: Vm, mode: str, host_levels: int) -> int:
    """Return how many frames one access can take: for its page, the guest's tables, and those of the VMM.

    A fault by a large page zeroes all of it, which takes frames for its pages, and leaves of the host's for each 2 MiB.
    """
    if not host_levels and mode != "shadow":
        return 0
    fitting = (pages_of_level(level) for level in range(PAGE_LEVELS[vm.page_size], 0, -1))
    pages = next(pages for pages in fitting if pages <= vm.memory_pages)
    if mode == "shadow":
        return 2 * vm.table_levels + pages
    return (vm.table_levels + 1) * host_levels + pages - 1 + (pages - 1) // TABLE_ENTRIES
