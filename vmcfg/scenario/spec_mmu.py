"""How memory is virtualized, and what some modes have besides. A part of the Scenario: see `scenario.spec`."""

from __future__ import annotations

from attrs import field, frozen

from vmcfg.scenario.spec_cpu import CacheShape
from vmcfg.scenario.spec_workload import LATER, PAGE_BYTES, Rate


@frozen
class ShadowPaging:
    """How a VMM keeps shadow tables: see `mmu.shadow`."""

    variant: str  # virtual_tlb | cached | unsync
    installs_on_write: bool
    bypasses_not_present: bool
    cr3_targets: int
    unsync_slots: int


@frozen
class DirtyLog:
    """How often the VMM asks which guest pages have been modified, and how it knows."""

    every_ns: int
    by: str  # pml | write_protection


@frozen
class Promotion:
    """When the VMM looks for small pages that can become a large one, at how many blocks of 2 MiB, and at which."""

    every_touches: int  # of a VM's vCPU 0; 0 with a rate
    blocks: int
    max_absent: int  # pages of a block without a frame
    rate: Rate | None = field(default=None, metadata=LATER)  # after the first touch that ends at i ÷ rate or later


@frozen
class Mmu:
    """Who translates, with which tables and tags, and what the VMM keeps beside them."""

    mode: str  # see `mmu`: a file each
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
