"""Time: slices in which the cores take their turns, run queues, switches of vCPUs, pacing."""

from __future__ import annotations

from vmcfg.scenario.spec import Mixture

from .access import touch
from .core import Core
from .events import happen
from .faults import take_exit, take_violation
from .pressure import Pressure
from .shortage import Stopped
from .streams import Scatter, Zipf, kind_of_touch, part_of_touch, stream_key, vpn_of_touch
from .vcpu import Vcpu


class Schedule:
    """All cores of one host. `end` is the absolute time at which everything stops, if there is one."""

    def __init__(
        self, cores: list[Core], slice_cycles: int, quantum: int, end: int | None, seed: int,
        zipf: Zipf | None, scatter: Scatter | None,
    ) -> None:  # fmt: skip
        self.cores = cores
        self.slice_cycles = slice_cycles
        self.quantum = quantum
        self.end = end
        self.seed = seed
        self.zipf = zipf
        self.scatter = scatter
        self.pressure: Pressure | None = None  # who takes memory away, if somebody does

    def simulate(self) -> None:
        """Slice after slice until the end, or until no vCPU has work; the last slice is cut at the end."""
        slice_end = 0
        while any(core.asleep or core.queue for core in self.cores) and slice_end != self.end:
            if self.pressure:
                self.pressure.happen(slice_end)
            ahead = min(core.clock for core in self.cores if core.asleep or core.queue) - slice_end
            ahead = 0 if self.pressure else ahead
            slice_end += self.slice_cycles * max(1, ahead // self.slice_cycles + 1)  # past those nobody is in
            if self.end is not None:
                slice_end = min(slice_end, self.end)
            for core in self.cores:
                if core.clock < slice_end:
                    self._take_turn(core, slice_end)
                    self._rotate(core)

    def _take_turn(self, core: Core, slice_end: int) -> None:
        """Runs heads until the core's clock has reached the slice's end."""
        while core.clock < slice_end:
            _admit_woken(core)
            if not core.queue:
                core.clock = min([slice_end] + [vcpu.start for vcpu in core.asleep])
                continue
            vcpu = core.queue[0]
            _give_core(core, vcpu)
            run = self._run_under_pressure if self.pressure else self._run_head
            if run(vcpu, slice_end):
                core.queue.pop(0)
                core.head = None

    def _rotate(self, core: Core) -> None:
        """At a slice's end: a head that has had its quantum goes to the tail, if another waits."""
        is_spent = core.head is not None and core.clock - core.head_since >= self.quantum
        if is_spent and len(core.queue) > 1:
            vcpu = core.queue.pop(0)
            vcpu.waits_since = core.clock
            core.queue.append(vcpu)
            core.head = None

    def _run_head(self, vcpu: Vcpu, slice_end: int) -> bool:
        """Returns whether its work is done."""
        core = vcpu.core
        vcpu.settle()
        while not vcpu.is_finished and core.clock < slice_end:
            due = vcpu.due()
            if core.clock < due:
                pause_end = min(due, slice_end) if vcpu.deadline is None else min(due, slice_end, vcpu.deadline)
                vcpu.charge("pace_cycles", pause_end - core.clock)
            else:
                vcpu.drop_debt()
                touch(vcpu, *self._next_touch(vcpu), vcpu.phase.accesses_per_touch)
                vcpu.advance()
                happen(vcpu)
                vcpu.retire()
            vcpu.settle()
        return vcpu.is_finished

    def _run_under_pressure(self, vcpu: Vcpu, slice_end: int) -> bool:
        """The same where an access or an event may have to wait, for memory before it begins or for a disk after it.

        Who has to wait ends its turn, unless the disk is done by now; others go on in what is left of the slice.
        """
        core = vcpu.core
        while True:
            if vcpu.waits_until > core.clock:
                _wait(vcpu)
                return False
            try:
                if not vcpu.is_back and not vcpu.spaces.is_empty:
                    happen(vcpu)
                    vcpu.is_back = True
                    continue
                vcpu.settle()
                if vcpu.is_finished or core.clock >= slice_end:
                    return vcpu.is_finished
                self._touch_once(vcpu, slice_end)
            except Stopped as stopped:
                vcpu.stands_at = None
                assert vcpu.memory.guest and vcpu.memory.pager
                (vcpu.memory.guest if stopped.lacks == "pages" else vcpu.memory.pager).decide(vcpu)

    def _touch_once(self, vcpu: Vcpu, slice_end: int) -> None:
        due = vcpu.due()
        if vcpu.core.clock < due:
            pause_end = min(due, slice_end) if vcpu.deadline is None else min(due, slice_end, vcpu.deadline)
            vcpu.charge("pace_cycles", pause_end - vcpu.core.clock)
            return
        vcpu.drop_debt()
        touch(vcpu, *self._next_touch(vcpu), vcpu.phase.accesses_per_touch)
        vcpu.advance()
        vcpu.retire()
        vcpu.is_back = False

    def _next_touch(self, vcpu: Vcpu) -> tuple[int, int]:
        """VPN and kind, from the phase's trace or drawn by its pattern."""
        vcpu.part = None
        phase = vcpu.phase
        nth = vcpu.touches_in_phase[vcpu.stretch.nth_phase]
        if phase.trace is not None:
            records = vcpu.traces[phase.trace.file]
            return records[nth % len(records)]
        assert phase.pattern is not None
        stream = f"{vcpu.vm.name}/{vcpu.number}"
        key = stream_key(self.seed, stream)
        pattern = phase.pattern
        if isinstance(pattern, Mixture):
            number = part_of_touch(stream_key(self.seed, f"{stream}/mixture"), vcpu.touches, pattern)
            pattern, nth = pattern.parts[number].pattern, vcpu.next_of_part(number)
        vpn = vpn_of_touch(key, vcpu.touches, nth, vcpu.workload, pattern, self.zipf, self.scatter)
        return vpn, kind_of_touch(key, vcpu.touches, phase.write_ppm)


def _wait(vcpu: Vcpu) -> None:
    """A vCPU that waits for a disk leaves its core until that is done; its last touch ends then."""
    core = vcpu.core
    wake, vcpu.waits_until = vcpu.waits_until, 0
    vcpu.count("blocked_cycles", wake - core.clock)
    vcpu.span.retired = wake
    core.queue.pop(0)
    core.head = None
    vcpu.start = wake
    core.asleep.append(vcpu)


def _admit_woken(core: Core) -> None:
    """vCPUs whose start has come join the tail, by (wake time, index)."""
    woken = sorted((v for v in core.asleep if v.start <= core.clock), key=lambda v: (v.start, v.index))
    for vcpu in woken:
        core.asleep.remove(vcpu)
        vcpu.waits_since = vcpu.start
        core.queue.append(vcpu)


def _give_core(core: Core, vcpu: Vcpu) -> None:
    """The head of the queue runs; unless it ran here last, that is a switch, which the incoming vCPU pays."""
    if core.head is not vcpu:
        core.head = vcpu
        core.head_since = core.clock
    if vcpu.waits_since is not None:
        vcpu.count("ready_cycles", core.clock - vcpu.waits_since)
        vcpu.waits_since = None
    if core.ran_last not in (None, vcpu):
        vcpu.count("vcpu_switches")
        if vcpu.host.mmu.mode != "native":
            take_exit(vcpu, "vcpu_switch", vcpu.costs["exit"])
    core.ran_last = vcpu
    while vcpu.violations_before_start:
        take_violation(vcpu, "table", *vcpu.violations_before_start.pop(0))
