"""What a workload is: regions, patterns and traces, phases, and what the guest's kernel does meanwhile.

A part of the Scenario (`scenario.spec`, which hands all of it on), and like it frozen, resolved and complete.
"""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

PAGE_BYTES = 4096
LINE_BYTES = 64
MILLION = 1_000_000  # shares and percentages are parts per million

LATER = {"is_later": True}
"""Marks a field that came after the language's first version: where it is None, digests are what they were without."""


@frozen
class Region:
    """A range of a process's virtual pages; `base_vpn` is already placed."""

    name: str
    base_vpn: int
    pages: int
    file: str = field(default="", metadata=LATER)  # of the VM, whose pages it maps from the first on; "": anonymous
    is_shared: bool = field(default=False, metadata=LATER)  # by all processes, without a file


@frozen
class Pattern:
    """How a phase picks pages inside a region. Fields that a kind does not use keep their neutral value.

    A kind with parameters that no other has is a class of its own: so a new one changes no digest of another.
    """

    kind: str  # uniform | sequential | zipf | hot_cold | stride | pointer_chase | mixture
    region: int  # index into Workload.regions
    order: str = "contiguous"  # or scattered: ranks are spread over the region by a named permutation
    alpha: str = "0"  # exact decimal of zipf's exponent
    hot_pages: int = 0
    hot_share_ppm: int = 0


@frozen
class Stride(Pattern):
    """The next page is so many bytes further, round the region."""

    stride_bytes: int = PAGE_BYTES


@frozen
class Part:
    """A part of a mixture gets touches in proportion to its weight."""

    weight: int
    pattern: Pattern


@frozen
class Mixture(Pattern):
    """Several patterns at once. It has no region of its own: `region` is -1."""

    parts: tuple[Part, ...] = ()


@frozen
class Trace:
    """A recorded stream of accesses."""

    file: str  # as written in the scenario, relative to it
    path: Path = field(eq=False)  # resolved
    format: str = "records"  # lackey | records | oracle_general | champsim | u64 | csv | guest_physical
    vpn_file: str = ""
    vpn_path: Path | None = field(default=None, eq=False)
    repeat: int | None = 1  # None: for ever
    epoch_ns: int = field(default=0, metadata=LATER)  # of guest_physical: how long an epoch lasts


@frozen
class Rate:
    """Touches per second as an exact fraction `touches / seconds`."""

    touches: int
    seconds: int


@frozen
class Phase:
    """A stretch of a workload: exactly one of `pattern` and `trace`."""

    pattern: Pattern | None
    trace: Trace | None
    rate: Rate | None  # None: back to back
    write_ppm: int
    accesses_per_touch: int
    accesses: int | None  # touches per vCPU until the phase ends; both None: until the run ends
    duration_ns: int | None
    events: tuple[GuestEvent, ...] = field(default=(), metadata=LATER)


@frozen
class GuestEvent:
    """What the guest's kernel does from time to time. Fields that a kind does not use keep their neutral value."""

    # context_switch | syscall | mmap | munmap | mprotect | fork | exec | exit | collapse | flush | read_file |
    # write_file | power_off | reboot
    kind: str
    every_touches: int  # the i-th time is after the vCPU's touch floor(i × every_touches ÷ every_divisor) of the phase
    every_divisor: int  # 0 of those with a rate
    region: int = -1  # index into Workload.regions
    pages: int = 0  # of the region, or the file
    kernel_pages: int = 0
    to: str = ""  # of mprotect: read | read_write
    rate: Rate | None = field(default=None, metadata=LATER)  # after the first touch that ends at i ÷ rate or later
    ranges: int = field(default=0, metadata=LATER)  # of collapse: of 2 MiB
    max_absent: int = field(default=0, metadata=LATER)  # of its pages, likewise
    what: str = field(default="", metadata=LATER)  # of flush: page | process | all | all_with_globals
    of_next: bool = field(default=False, metadata=LATER)  # likewise: of the next process, not the loaded one
    file: str = field(default="", metadata=LATER)  # of the VM: of read_file and write_file


@frozen
class Workload:
    """What runs in a VM: its regions, and what it does to them, phase after phase."""

    name: str
    regions: tuple[Region, ...]
    phases: tuple[Phase, ...]
    processes: int = field(default=1, metadata=LATER)
    max_processes: int = field(default=1, metadata=LATER)

    @property
    def kernel_accesses(self) -> bool:
        """Whether the kernel's memory is accessed: it then needs page tables."""
        return any(event.kernel_pages for phase in self.phases for event in phase.events)

    @property
    def collapses(self) -> bool:
        """Whether large pages come to stand in place of small ones."""
        return any(event.kind == "collapse" for phase in self.phases for event in phase.events)
