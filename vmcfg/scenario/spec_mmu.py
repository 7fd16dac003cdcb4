"""What some MMU modes have beside the others. A part of the Scenario: see `scenario.spec`, which hands all of it on."""

from __future__ import annotations

from attrs import field, frozen

from vmcfg.scenario.spec_workload import LATER, Rate


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
