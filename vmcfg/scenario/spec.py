"""The Scenario: what a user asked for, checked and complete.

Frozen values with exact integers: bytes, nanoseconds, pages, parts per million. Every default is already
filled in, every name already resolved. Nothing here knows YAML (that is behind us) or NumPy (that is ahead).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from vmcfg.scenario.spec_claims import CellName, Claim, ExpectedError
from vmcfg.scenario.spec_mmu import DirtyLog, Promotion, ShadowPaging
from vmcfg.scenario.spec_paging import (
    Balloon,
    BalloonStep,
    Boot,
    Compresses,
    Compression,
    Disk,
    File,
    FreePageReporting,
    GuestReclaim,
    HostPaging,
    PageCache,
    Swap,
    Watermarks,
)
from vmcfg.scenario.spec_workload import (
    LATER,
    LINE_BYTES,
    MILLION,
    PAGE_BYTES,
    GuestEvent,
    Mixture,
    Part,
    Pattern,
    Phase,
    Rate,
    Region,
    Stride,
    Trace,
    Workload,
)

__all__ = [  # with what stands beside it
    "LATER",
    "LINE_BYTES",
    "MILLION", "PAGE_BYTES",
    "SHARED",
    "Balloon", "BalloonStep",
    "Boot",
    "CacheShape",
    "CellName", "Claim", "Comparison", "Compresses", "Compression",
    "Cpu", "DataCache", "DataCaches",
    "DirtyLog",
    "Disk",
    "ExpectedError",
    "File",
    "GuestEvent", "GuestReclaim",
    "Host",
    "HostPaging",
    "LargeTlbs",
    "Metadata",
    "Mixture",
    "Mmu",
    "Origin",
    "PageCache",
    "Part",
    "Pattern",
    "Phase",
    "Promotion",
    "Rate",
    "Region",
    "Run",
    "Scenario",
    "ShadowPaging",
    "Stride",
    "Swap",
    "Trace",
    "Vm", "Watermarks", "Workload",
]


@frozen
class Origin:
    """Where a value came from.

    `kind` is `file`, `default`, `profile`, `guest` (its preset), `set` or `mode` (a default that the MMU mode decides);
    `where` is `file:line`, the profile's or preset's name, or the text of the `--set`.
    """

    kind: str
    where: str = ""


@frozen
class Metadata:
    """Says what the scenario is about; takes no part in its digest."""

    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    source: str = ""


@frozen
class Run:
    """How long and how fine. Exactly one of `duration_ns`, `accesses` (touches per vCPU) and `to_the_end` is set."""

    duration_ns: int | None
    accesses: int | None
    to_the_end: bool  # `accesses: all`: until every workload has ended by itself
    epoch_ns: int
    slice_ns: int
    warmup_touches: int | None  # at most one of the two warm-ups is set
    warmup_ns: int | None
    sample_ns: int | None = field(default=None, metadata=LATER)  # the interval of the table series
    curve_ppm: int = field(default=0, metadata=LATER)  # the pages that the table curve looks at


@frozen
class CacheShape:
    """A translation cache of `entries` in `ways`: `entries // ways` sets, replaced by `policy` (`lru`, `plru`).

    `index` says which set: page mod sets (`modulo`), or the same after an exclusive-or of the bits above (`xor`).
    """

    entries: int
    ways: int
    policy: str = "lru"
    index: str = field(default="modulo", metadata=LATER)


@frozen
class LargeTlbs:
    """Where a core keeps TLB entries of 2 MiB and 1 GiB: in a cache of their own, with the others (SHARED), nowhere."""

    l1_2m: CacheShape | str | None
    l1_1g: CacheShape | str | None
    l2_2m: CacheShape | str | None
    l2_1g: CacheShape | str | None


SHARED = "shared"


@frozen
class DataCache:
    """A cache of memory lines: `size_bytes` in sets of `ways`, LRU."""

    size_bytes: int
    ways: int
    latency: int  # cycles of a reference that hits in it

    @property
    def sets(self) -> int:
        return self.size_bytes // (LINE_BYTES * self.ways)


@frozen
class DataCaches:
    """The data caches that references of page walks go through; L1 and L2 are a core's own."""

    l1: DataCache
    l2: DataCache | None
    llc: DataCache | None  # the last level, which all cores share
    memory_latency: int


@frozen
class Cpu:
    """A processor profile with the scenario's overrides applied."""

    profile: str
    hz: int
    features: tuple[str, ...]  # sorted: ept, vpid, pcid, ept_ad, ...
    l1_tlb: CacheShape | None
    l1_itlb: CacheShape | None  # None: fetches use the data TLB
    l2_tlb: CacheShape | None
    guest_walk_caches: Mapping[int, CacheShape]  # by the level of the entries they hold: 2 = PDE, 3 = PDPTE, 4 = PML4E
    host_walk_caches: Mapping[int, CacheShape]
    nested_tlb: CacheShape | None
    walkers: int
    costs: Mapping[str, int]  # cycles, by the names in the profile schema
    assumed: tuple[str, ...] = field(eq=False)  # dotted names of the figures that are only assumed
    data_caches: DataCaches | None = field(default=None, metadata=LATER)  # None: a reference costs `walk_reference`
    large_tlbs: LargeTlbs | None = field(default=None, metadata=LATER)  # None: no guest on the host has large pages


@frozen
class Mmu:
    mode: str  # native | nested
    page_size: int  # bytes of the host's pages behind guest data: 4096, 2 MiB or 1 GiB
    vpid: bool  # tagged TLBs: VM exits and switches of vCPUs flush nothing
    host_levels: int = field(default=4, metadata=LATER)  # of the host's table in `nested`; 1 is a flat one
    nested_caches: str = field(default="all", metadata=LATER)  # | 1d | 2d | 2d_nested_tlb | 2d_nested_tlb_data
    pml: bool = field(default=False, metadata=LATER)  # modified guest pages are logged
    shadow: ShadowPaging | None = field(default=None, metadata=LATER)  # how, in mode shadow
    pcid: bool = field(default=False, metadata=LATER)  # tagged address spaces: loads of CR3 need not flush
    table_page_size: int = field(default=PAGE_BYTES, metadata=LATER)  # the same behind the guest's page tables
    batch_updates: int = field(default=32, metadata=LATER)  # in one hypercall of `paravirt`, at most
    pins_roots: bool = field(default=True, metadata=LATER)  # in `paravirt`: a load of CR3 has nothing to check
    software_tlb: CacheShape | None = field(default=None, metadata=LATER)  # the VMM's own, in that mode
    promotion: Promotion | None = field(default=None, metadata=LATER)  # small host pages become large ones
    has_tlb: bool = field(default=True, metadata=LATER)  # else accesses go straight to their pages
    dirty_log: DirtyLog | None = field(default=None, metadata=LATER)  # the VMM asks what has been modified

    @property
    def logs_pages(self) -> bool:
        """Tell whether the processor logs modified guest pages."""
        return self.pml or (self.dirty_log is not None and self.dirty_log.by == "pml")


@frozen
class Host:
    name: str
    memory_pages: int
    cores: int
    quantum_ns: int
    cpu: Cpu
    mmu: Mmu
    disks: tuple[Disk, ...] = field(default=(), metadata=LATER)  # none where nothing lies on any
    swap: Swap | None = field(default=None, metadata=LATER)
    paging: HostPaging | None = field(default=None, metadata=LATER)
    compression: Compression | None = field(default=None, metadata=LATER)


@frozen
class Vm:
    """One machine; `count: 3` has already become three."""

    name: str  # web-2
    declared: str  # web
    host: str
    memory_pages: int
    kernel_pages: int
    vcpus: int
    start_ns: int
    populate: str  # on_touch | at_start
    backing: str  # on_touch | at_start
    zero_on_fault: bool
    workload: str
    table_levels: int = field(default=4, metadata=LATER)  # of its page table; 3: PAE, 2: wide ones, 0: none
    kpti: bool = field(default=False, metadata=LATER)  # programs run without the kernel's part of the table
    pcids: int = field(default=6, metadata=LATER)  # address spaces whose translations each vCPU keeps
    page_size: int = field(default=PAGE_BYTES, metadata=LATER)  # of the guest's data pages: 4096, 2 MiB or 1 GiB
    reclaim: GuestReclaim | None = field(default=None, metadata=LATER)  # None: it pages nothing out
    balloon: Balloon | None = field(default=None, metadata=LATER)
    files: tuple[File, ...] = field(default=(), metadata=LATER)
    page_cache: PageCache | None = field(default=None, metadata=LATER)  # None: it has no files
    boot: Boot | None = field(default=None, metadata=LATER)
    free_page_reporting: FreePageReporting | None = field(default=None, metadata=LATER)
    zero_thread: int = field(default=0, metadata=LATER)  # bytes per second of freed pages; 0: there is none
    oom: str = field(default="error", metadata=LATER)  # out of memory: error | kill, the guest ends a process
    compresses: Compresses | None = field(default=None, metadata=LATER)  # None: nobody has said


@frozen
class Comparison:
    """Variants of a scenario that differ in one setting, and draw the same streams."""

    path: str  # mmu.mode
    variants: tuple[tuple[str, Scenario], ...]  # by the value that makes each; at least two


@frozen
class Scenario:
    name: str = field(eq=False)  # the file's stem
    path: Path | None = field(eq=False)
    metadata: Metadata = field(eq=False)
    seed: int
    run: Run
    hosts: tuple[Host, ...]
    vms: tuple[Vm, ...]
    workloads: tuple[Workload, ...]
    tables: tuple[str, ...]
    origins: Mapping[str, Origin] = field(eq=False, repr=False)  # by dotted path of the resolved document
    # What is asked of the run does not change it, and takes no part in the digest either.
    claims: tuple[Claim, ...] = field(default=(), eq=False)
    expected_error: ExpectedError | None = field(default=None, eq=False)
    comparison: Comparison | None = field(default=None, eq=False)

    @property
    def takes_memory_away(self) -> bool:
        """Tell whether any host or guest can take back memory that it has given."""
        is_taking = any(vm.reclaim or vm.balloon or vm.free_page_reporting or vm.oom == "kill" for vm in self.vms)
        return is_taking or any(host.paging for host in self.hosts)

    @property
    def has_large_pages(self) -> bool:
        """Tell whether any page of any host or VM may be larger than 4 KiB."""
        sizes = (max(host.mmu.page_size, host.mmu.table_page_size) for host in self.hosts)
        is_promoting = any(host.mmu.promotion for host in self.hosts)
        has_large_host_pages = is_promoting or any(size > PAGE_BYTES for size in sizes)
        collapsing = {workload.name for workload in self.workloads if workload.collapses}
        has_large_guest_pages = (vm.page_size > PAGE_BYTES or vm.workload in collapsing for vm in self.vms)
        return has_large_host_pages or any(has_large_guest_pages)
