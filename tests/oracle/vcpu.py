"""A vCPU: its counters, and its work as a list of stretches with schedule and end.

A stretch is a phase, or the hidden warm-up before the first one, which borrows that phase's pattern, rate and trace.
A stretch ends at a boundary between touches: right after a touch, when pacing stops, or when the vCPU gets the core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vmcfg.scenario.spec import Host, Phase, Run, Vm, Workload

from .core import Core
from .spaces import Spaces

if TYPE_CHECKING:
    from .shadow import ShadowMmu

Records = list[tuple[int, int]]  # (vpn, kind)

NANOSECONDS = 1_000_000_000


def to_cycles(ns: int, hz: int) -> int:
    """Nanoseconds as cycles, rounded half up."""
    return (2 * ns * hz + NANOSECONDS) // (2 * NANOSECONDS)


@dataclass
class Stretch:
    row: int  # of the counters: 0 is the warm-up, n the n-th phase
    nth_phase: int  # index into the workload's phases
    touches: int | None  # it ends after so many
    lasts_cycles: int | None  # or so long after its beginning
    until_cycles: int | None  # or at this time


@dataclass
class Span:
    """A vCPU's time in one row: from its entry, the first one at its start, to its last retirement so far."""

    began: int
    retired: int | None = None


@dataclass
class Account:
    """What one VM has counted, row by row, and the spans of its vCPUs in each row."""

    counters: list[dict[str, int]]
    exits: list[dict[str, tuple[int, int]]]
    spans: list[list[Span]]


class Vcpu:
    def __init__(
        self, vm: Vm, number: int, host: Host, core: Core, spaces: Spaces, workload: Workload, run: Run,
        account: Account, traces: dict[str, Records],
    ) -> None:  # fmt: skip
        self.vm = vm
        self.number = number  # within the VM
        self.index = 0  # within the host
        self.siblings: list[Vcpu] = []  # the VM's vCPUs, this one among them
        self.cores: list[Core] = []  # all of the host's
        self.host = host
        self.core = core
        self.spaces = spaces
        self.memory = spaces.memory
        self.workload = workload
        self.run = run
        self.account = account
        self.traces = traces
        self.costs = host.cpu.costs
        self.log: list[int] | None = [] if host.mmu.pml else None
        self.has_vpid = host.mmu.vpid or host.mmu.mode == "native"  # which flushes nothing either
        self.shadow: ShadowMmu | None = None  # the VMM's half of it, if that shadows the guest's tables
        self.is_in_kernel = False
        self.start = to_cycles(vm.start_ns, host.cpu.hz) + _boot_cycles(vm, run, host.cpu.hz)
        self.stretches = _stretches(workload, run, self.start, host.cpu.hz)
        self.nth_stretch = 0
        self.has_begun = False  # the stretch; the five fields below are those of a stretch that has begun
        self.span = Span(self.start)
        self.began_at = 0
        self.deadline: int | None = None
        self.dropped = 0  # by how much its schedule has moved
        self.touches_in_stretch = 0
        self.touches_in_phase = [0] * len(workload.phases)  # also the position in its trace
        self.touches_of_part: Counter[tuple[int, int]] = Counter()  # (phase, part of its mixture)
        self.part: tuple[int, int] | None = None  # to which this touch falls, as long as it is not made
        self.touches = 0  # the index in the vCPU's stream
        self.touches_after_warmup = 0
        self.carried_walk_cycles = 0
        self.violations_before_start: list[tuple[int, int]] = []  # of roots before t = 0: (pages backed, EPT tables)
        self.waits_since: int | None = None
        self.has_pcid = host.mmu.pcid and vm.table_levels >= 4
        self.loaded = spaces.living()[number % workload.processes]
        self.kept: list[int | None] = [None] * vm.pcids  # slots of processes, by the place of their PCID
        self.kept[0] = self.loaded.slot
        self.next_place = 1 % vm.pcids
        self.stale: set[int] = set()  # slots that are kept, to be flushed when they are loaded
        self.pointers = spaces.pointers(self.loaded, False)
        self.kernel_touches = 0
        self.occurrences: Counter[int] = Counter()  # in this stretch, by the phase's event
        self.promotions = 0  # in this stretch: how often the VMM has looked for small pages to promote
        self.waits_until = 0  # when the last disk that it has asked for something is done
        self.stands_at: int | None = None  # for disks: what happens within an access or an event happens at one time
        self.spent = 0  # cycles of the VMM, to be charged with the next exit
        self.is_looked_after = False  # this access has found what it needs, or is not asked
        self.is_told_of = False  # whoever is told of every access knows of this one
        self.is_back = True  # nothing is left to happen after the last touch

    @property
    def now(self) -> int:
        """When a disk is asked for something."""
        return self.core.clock if self.stands_at is None else self.stands_at

    def wait_until(self, done: int) -> None:
        self.waits_until = max(self.waits_until, done)

    @contextmanager
    def at_one_time(self) -> Iterator[None]:
        """All that happens inside asks disks at the time at which it began."""
        self.stands_at = self.core.clock
        yield
        self.stands_at = None

    @property
    def is_finished(self) -> bool:
        """No work is left: all stretches are over, the run's touches are made, or nobody is left to make them."""
        is_last_touch_made = self.run.accesses is not None and self.touches_after_warmup >= self.run.accesses
        return self.nth_stretch >= len(self.stretches) or is_last_touch_made or self.has_gone

    @property
    def has_gone(self) -> bool:
        """No process is left, or no VM."""
        return self.spaces.is_empty or self.spaces.is_off

    @property
    def stretch(self) -> Stretch:
        return self.stretches[min(self.nth_stretch, len(self.stretches) - 1)]

    @property
    def phase(self) -> Phase:
        return self.workload.phases[self.stretch.nth_phase]

    @property
    def is_warming_up(self) -> bool:
        return self.stretch.row == 0

    def count(self, event: str, n: int = 1) -> None:
        if n:
            self.account.counters[self.stretch.row][event] += n

    def count_exit(self, reason: str, cycles: int) -> None:
        exits = self.account.exits[self.stretch.row]
        exits[reason] = (exits[reason][0] + 1, exits[reason][1] + cycles)

    def charge(self, part: str, cycles: int) -> None:
        """Time passes, and is accounted for under `part`."""
        self.count(part, cycles)
        self.core.clock += cycles

    def charge_walk(self, raw_cycles: int) -> None:
        """Several walkers share the cycles of walks; what does not divide is carried to the next walk."""
        raw_cycles += self.carried_walk_cycles
        self.charge("walk_charged_cycles", raw_cycles // self.host.cpu.walkers)
        self.carried_walk_cycles = raw_cycles % self.host.cpu.walkers

    def next_of_part(self, number: int) -> int:
        """How many touches of this phase have fallen to a part of its mixture, before this one."""
        self.part = self.stretch.nth_phase, number
        return self.touches_of_part[self.part]

    def settle(self) -> None:
        """At a boundary between touches: ends every stretch that is over and begins the next one."""
        while not self.is_finished:
            if not self.has_begun:
                self._begin_stretch()
            if not self._is_stretch_over():
                return
            self.nth_stretch += 1
            self.has_begun = False

    def due(self) -> int:
        """When the next touch is due: touch i of a stretch at i / rate, plus the schedule that was given up."""
        rate = self.phase.rate
        if rate is None:
            return self.core.clock
        nth = self.touches_in_stretch * self.host.cpu.hz * rate.seconds // rate.touches
        return self.began_at + nth + self.dropped

    def drop_debt(self) -> None:
        """A vCPU that is late by more than a second gives up the excess."""
        excess = self.core.clock - self.due() - self.host.cpu.hz
        if excess > 0:
            self.count("dropped_cycles", excess)
            self.dropped += excess

    def retire(self) -> None:
        """What the vCPU has done until now is over."""
        self.span.retired = self.core.clock

    def advance(self) -> None:
        """One more touch is made."""
        if self.part:
            self.touches_of_part[self.part] += 1
            self.part = None
        self.touches += 1
        self.touches_in_stretch += 1
        self.touches_in_phase[self.stretch.nth_phase] += 1
        if not self.is_warming_up:
            self.touches_after_warmup += 1

    def _begin_stretch(self) -> None:
        stretch = self.stretch
        self.has_begun = True
        self.began_at = self.core.clock
        self.dropped = 0
        self.touches_in_stretch = 0
        self.occurrences.clear()
        self.promotions = 0
        self.deadline = stretch.until_cycles
        if stretch.lasts_cycles is not None:
            self.deadline = self.began_at + stretch.lasts_cycles
        self.span = Span(self.start if self.nth_stretch == 0 else self.core.clock)
        self.account.spans[stretch.row].append(self.span)

    def _is_stretch_over(self) -> bool:
        is_counted_out = self.stretch.touches is not None and self.touches_in_stretch >= self.stretch.touches
        is_timed_out = self.deadline is not None and self.core.clock >= self.deadline
        return is_counted_out or is_timed_out or self._is_trace_over()

    def _is_trace_over(self) -> bool:
        """A trace runs on vCPU 0 and ends its phase; the others have nothing to do in it."""
        trace = self.phase.trace
        if trace is None:
            return False
        records = len(self.traces[trace.file])
        if self.number > 0 or records == 0:
            return True
        return trace.repeat is not None and self.touches_in_phase[self.stretch.nth_phase] >= records * trace.repeat


def _boot_cycles(vm: Vm, run: Run, hz: int) -> int:
    """How long a boot keeps the vCPUs at first, in steps of a millisecond, or of a slice if that is longer."""
    step = max(to_cycles(1_000_000, hz), to_cycles(run.slice_ns, hz))
    return -(-to_cycles(vm.boot.duration_ns, hz) // step) * step if vm.boot else 0


def has_warmup(run: Run) -> bool:
    return bool(run.warmup_touches or run.warmup_ns)


def _stretches(workload: Workload, run: Run, start: int, hz: int) -> list[Stretch]:
    warmup = []
    if has_warmup(run):
        until = start + to_cycles(run.warmup_ns, hz) if run.warmup_ns else None
        warmup = [Stretch(0, 0, run.warmup_touches or None, None, until)]
    return warmup + [
        Stretch(n + 1, n, phase.accesses, None if phase.duration_ns is None else to_cycles(phase.duration_ns, hz), None)
        for n, phase in enumerate(workload.phases)
    ]
