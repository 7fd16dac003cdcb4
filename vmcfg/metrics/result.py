"""What a run leaves behind: plain integers, ready to be put into tables. No arrays, no machine."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen


@frozen
class PhaseResult:
    """The counters of one VM in one phase; phase 0 is the warm-up, which tables do not print."""

    phase: int
    counters: Mapping[str, int]  # by Event name in lower case, e.g. "stlb_hits"; by Found name where it is modelled
    exits: Mapping[str, tuple[int, int]]  # reason in lower case -> (count, cycles), all reasons of the mode
    elapsed_cycles: int  # from the phase's first turn to its last retirement, over the VM's vCPUs


@frozen
class DirtyRound:
    """What a VM modified from one time that the VMM asked to the next."""

    ended_cycles: int  # of the host's clock
    pages: int


@frozen
class Kill:
    """A process that a guest ended because it had run out of memory."""

    cycles: int  # when
    process: int  # its number within the guest, from 1
    freed_pages: int  # page tables included
    asked_by: str  # WORKLOAD or BALLOON: whose allocation it was


WORKLOAD, BALLOON = "workload", "balloon"


@frozen
class Sample:
    """A VM at one moment of a series, with all that was counted from the start of the run."""

    cycles: int
    host_free: int  # frames
    pages: Mapping[str, int]  # as in VmResult
    counters: Mapping[str, int]  # as in PhaseResult, over all phases and the warm-up


@frozen
class CurveResult:
    """How many of a VM's touches miss in memories of so many pages under LRU: (pages, misses), ascending."""

    touches: int
    points: tuple[tuple[int, int], ...]


@frozen
class VmResult:
    """What one VM leaves behind; `phases` has the warm-up first."""

    name: str
    host: str
    mode: str
    hz: int  # cycles per simulated second on its host
    phases: tuple[PhaseResult, ...]
    pages: Mapping[str, int]  # configured, private, swapped, unbacked; guest_free, guest_tables, guest_kernel
    rounds: tuple[DirtyRound, ...] = ()  # in which the VMM asked what had been modified
    kills: tuple[Kill, ...] = ()  # in order
    samples: tuple[Sample, ...] = ()  # by time; the last is the end of the run
    curve: CurveResult | None = None


@frozen
class Checkpoint:
    """The rolling digests at one moment. `digests` maps subsystem to 64 bits."""

    cycles: int
    digests: Mapping[str, int]


@frozen
class DiskResult:
    """What a disk was asked for over the whole run."""

    name: str
    host: str
    hz: int
    counters: Mapping[str, int]  # reads, writes, pages_read, pages_written, seeks, busy_cycles, queued_cycles


@frozen
class HostResult:
    """What one host leaves behind: where its frames are, what its disks did, and its digests on the way."""

    name: str
    hz: int
    frames: Mapping[str, int]  # total, free, private, shared, overhead, reserved
    checkpoints: tuple[Checkpoint, ...]  # at most 64; the last is the end of the run
    disks: tuple[DiskResult, ...] = ()


@frozen
class RunResult:
    """Hosts and VMs in declaration order, instances by number."""

    hosts: tuple[HostResult, ...]
    vms: tuple[VmResult, ...]
    seconds_simulating: float  # of real time, for the progress line only: never in a table
