"""The machine's arrays: their shapes, what is reserved, and how much of it a run can come to touch.

Large arrays come from calloc: an untouched page of them costs nothing. The bound on bytes therefore counts the
guest pages, frames and tables that a run can use, not the configured size of its VMs.
"""

from __future__ import annotations

from vmcfg.metrics.events import COLUMNS
from vmcfg.plan.disks import cache_frames
from vmcfg.plan.model import UNLIMITED, ArrayPlan, HostPlan, pages_of_level
from vmcfg.scenario.spec import DataCache

ITEM_BYTES = {"i64": 8, "u64": 8, "i32": 4, "u32": 4, "u16": 2, "u8": 1}
TABLE_ENTRIES = 512
BATCH = 2048
FLIGHTS = 4096  # pages of a swap area that may be on their way out
QUARTERS = 4  # of a frame of the compression cache
NARROW, WIDE = 16, 32  # ways that a set of a data cache has room for; half as many, if sets are a power of two
OS_PAGE = 4096  # touching one item touches the page around it


def array_plans(host: HostPlan) -> tuple[ArrayPlan, ...]:
    """Return the plan of every array whose size depends on the scenario."""
    pages = sum(vm.vm.memory_pages if host.promotion else vm.touched_pages for vm in host.vms)
    groups = len(host.vms)
    overhead = sum(-(-vm.vm.memory_pages // TABLE_ENTRIES) for vm in host.vms) if host.host_levels == 1 else 0
    passed_over = pages_of_level(max(host.page_level, host.table_page_level)) - 1  # to where a block begins
    frames = min(host.frames, pages + host.ept_entries + overhead + passed_over) if not host.promotion else host.frames
    vcpus = len(host.vcpus)
    tables = host.max_tables if host.mode == "paravirt" else 0
    nodes = host.max_tables * host.table_nodes
    return (
        _array("guests.tables", "i64", (nodes * TABLE_ENTRIES,), nodes * TABLE_ENTRIES,
               "entries of the guests' page tables"),
        _array("guests.ppns", "i32", (nodes,), nodes, "pages that hold these tables"),
        _array("guests.given_back", "i32", (nodes,), 0, "tables given back, a stack"),
        _array("guests.sharers", "u16", (host.pages,), pages if _shares(host) else 0,
               "further mappings of a data page"),
        _array("guests.where", "i64", (host.pages if host.guests_reclaim else 0,), pages if host.guests_reclaim else 0,
               "where a data page is mapped"),
        _array("guests.balloon", "i32", (host.pages if host.has_balloons else 0,), pages if host.has_balloons else 0,
               "pages in balloons, a stack per VM"),
        _array("guests.homes", "i64", (nodes if host.guests_reclaim else 0,), nodes if host.guests_reclaim else 0,
               "whose leaf tables are"),
        _array("guests.types", "u8", (tables,), tables, "levels as which the VMM has checked these tables"),
        _array("guests.referrers", "i32", (tables,), tables, "what refers to these tables"),
        _array("guests.free_list", "i32", (host.pages,), 0, "freed guest pages, a stack per VM"),
        _array("host.pmap", "i64", (host.pages,), pages, "guest page → machine frame and state", groups),
        _array("host.owner", "i32", (host.frames,), frames, "who owns each machine frame", 1),
        _array("host.kind", "u8", (host.frames,), frames, "kind of each machine frame", 1),
        _array("host.free_list", "i32", (host.frames,), 0, "given-back frames, a stack"),
        _array("host.ept", "i32", (host.ept_entries,), host.ept_entries, "entries of the EPT's upper levels"),
        *_shadow(host),
        *_paging(host),
        *_files(host),
        *_compression(host),
        _array("work.buffer", "i64", (vcpus, BATCH), vcpus * BATCH, "accesses generated ahead"),
        _array("counters", "i64", (host.rows, COLUMNS), host.rows * COLUMNS, "counters by VM and phase"),
        *_data_caches(host),
    )  # fmt: skip


def _shadow(host: HostPlan) -> tuple[ArrayPlan, ...]:
    entries = host.shadow_pages * TABLE_ENTRIES
    is_used = host.shadow is not None
    pages = host.pages if is_used else 0
    return (
        _array("shadow.entries", "i64", (entries,), entries, "entries of shadow tables"),
        _array("shadow.next", "i32", (entries,), entries if _may_map_twice(host) else 0,
               "further entries that map the same page"),
        _array("shadow.head", "i32", (pages,), min(pages, entries), "guest page → the first entry that maps it"),
        _array("shadow.of_table", "i32", (host.max_tables if is_used else 0,), host.max_tables if is_used else 0,
               "guest's table → its shadow"),
    )  # fmt: skip


def _paging(host: HostPlan) -> tuple[ArrayPlan, ...]:
    slots = sum(area.slots for area in host.areas)
    of_host, of_guests = [host.paging] if host.paging else [], host.guests_reclaim
    kept = sum(bool(hows) + 2 * any(how.has_keys for how in hows) for hows in (of_host, of_guests))
    layers = host.pages * kept
    flights = len(host.areas) * FLIGHTS
    marks = _marks(host)
    return (
        _array("paging.slots", "i32", (slots,), slots, "what the slots of swap areas hold"),
        _array("paging.layers", "i64", (layers,), layers, "pages that may leave memory, in their policies' order"),
        _array("paging.flights", "i64", (flights, 2), flights * 2, "pages on their way out of memory"),
        _array("paging.marks", "i64", (slots + host.file_pages if marks else 0,), marks,
               "when pages that are out left their guests"),
    )  # fmt: skip


def _marks(host: HostPlan) -> int:
    """Return in how many slots and pages of files guests' policies can come to leave marks."""
    marking = {number for number, plan in enumerate(host.vms) if plan.vm.reclaim and plan.vm.reclaim.leaves_marks}
    in_files = sum(file.pages for file in host.files if file.vm in marking)
    return in_files + sum(host.areas[1 + number].slots for number in marking if host.areas)


def _files(host: HostPlan) -> tuple[ArrayPlan, ...]:
    pages, guests = host.file_pages, host.pages if host.file_pages else 0
    return (
        _array("files.cached", "i32", (pages,), pages, "where pages of files are in guests' memory"),
        _array("files.dirtied", "i32", (pages,), pages, "since when they are dirty"),
        _array("files.origin", "i32", (guests,), guests, "which page of a file a guest page holds"),
        _array("files.block", "i32", (guests,), guests, "which page of a file on disk a guest page equals"),
        _array("files.image", "i32", (pages,), pages, "which guest page equals it"),
    )


def _compression(host: HostPlan) -> tuple[ArrayPlan, ...]:
    frames = sum(cache_frames(host.compression, vm.vm.memory_pages) for vm in host.vms)
    pages = host.pages * bool(host.compression)
    places = frames * QUARTERS
    return (
        _array("compression.frames", "i32", (frames,), frames, "frames of the compression cache"),
        _array("compression.spare", "i32", (frames,), frames, "places of those without one, a stack per VM"),
        _array("compression.quarters", "i32", (places,), places, "what lies in each quarter of them"),
        _array("compression.layers", "i64", (pages + places,), pages + places, "free quarters, and entries by age"),
    )


def _shares(host: HostPlan) -> bool:
    """Tell whether pages may be mapped more than once, or be held by others than mappings."""
    return host.file_pages > 0 or any(plan.event.kind == "fork" for phase in host.phases for plan in phase.events)


def _may_map_twice(host: HostPlan) -> bool:
    """Tell whether shadow entries may come to share a page: after a fork, by what is stale, or in tables per vCPU."""
    return any(phase.events for phase in host.phases) or len(host.vcpus) > len(host.vms)


def _data_caches(host: HostPlan) -> tuple[ArrayPlan, ...]:
    declared = host.data_caches
    if declared is None:
        return ()
    places = host.cores * (_places(declared.l1) + _places(declared.l2)) + _places(declared.llc)
    return (_array("data_caches.tags", "i32", (places,), places, "lines of page tables in the data caches"),)


def _places(cache: DataCache | None) -> int:
    if cache is None:
        return 0
    is_slim = cache.ways <= NARROW // 2 and cache.sets & (cache.sets - 1) == 0
    return cache.sets * (NARROW // 2 if is_slim else NARROW if cache.ways <= NARROW else WIDE)


def _array(name: str, dtype: str, shape: tuple[int, ...], touched: int, meaning: str, stretches: int = 0) -> ArrayPlan:
    """`stretches`: into how many places the touched items may be spread, each costing a page of slack."""
    size = ITEM_BYTES[dtype]
    touched_bytes = min(UNLIMITED, touched * size + stretches * OS_PAGE)
    return ArrayPlan(name, dtype, shape, meaning, size, touched_bytes)
