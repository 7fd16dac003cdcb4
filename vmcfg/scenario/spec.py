"""The Scenario: what a user asked for, checked and complete.

Frozen values with exact integers: bytes, nanoseconds, pages, parts per million. Every default is already
filled in, every name already resolved. Nothing here knows YAML (that is behind us) or NumPy (that is ahead).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import field, frozen

from vmcfg.scenario.spec_claims import CellName, Claim, ExpectedError
from vmcfg.scenario.spec_cpu import SHARED, CacheShape, Cpu, DataCache, DataCaches, LargeTlbs
from vmcfg.scenario.spec_mmu import DirtyLog, Mmu, Promotion, ShadowPaging
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
class Host:
    """One machine: its memory, its processor, and what it does when its guests want more than it has."""

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
    """All of it. What takes part in equality takes part in the digest."""

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
