"""From a plan to accesses that were watched: compiled up to the first of them, plain Python through each.

The loop stops before the touch (`until`), wherever that is inside a slice. The vCPU then holds its core, and what
comes next is its turn: the same `take_turn`, on the same arrays, called in the twin and stopped after one touch. What
lies between two accesses of the vCPU (other vCPUs, slices, waiting until a paced touch is due) runs compiled again. So
the machine goes the way that it would have gone unwatched.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.engine import loop
from vmcfg.engine.build import build
from vmcfg.engine.room import DONE, EVENTS_DUE, NEED_FRAMES, NEED_GUEST_PAGES, UNTIL
from vmcfg.engine.shortage import out_of_frames, out_of_guest_pages
from vmcfg.errors import UsageError
from vmcfg.metrics.events import CHARGED, Event
from vmcfg.plan.model import HostPlan, Plan
from vmcfg.trace.places import Places
from vmcfg.trace.steps import Access
from vmcfg.trace.twin import Twin
from vmcfg.trace.watch import Watch
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work
from vmcfg.workload.inputs import load_inputs

KINDS = {at.FETCH: "fetch", at.LOAD: "load", at.STORE: "store"}
PARTS = {event: event.name.lower().removesuffix("_cycles").removesuffix("_charged") for event in CHARGED}
PARTS[Event.PACE_CYCLES] = "pace"


def trace(plan: Plan, vm: str | None = None, vcpu: int = 0, first: int = 1, count: int = 1) -> Iterator[Access]:
    """Yield `count` accesses of a vCPU from its touch `first` on (from 1, warm-up included); fewer if its work ends.

    `vm` may be left out where there is only one. Raises UsageError for a VM or vCPU that is not there, and RunFailed
    as `engine.simulate` does.
    """
    tracer = Tracer(plan, vm, vcpu)
    for number in range(first, first + count):
        access = tracer.access(number)
        if access is None and number == first:
            name = tracer.host.vcpus[tracer.vcpu].name
            raise UsageError(f"--access: found {first:,}, but {name} ends after {tracer.retired:,} touches")
        if access is None:
            return
        yield access


class Tracer:
    """A host's machine and one vCPU of it, whose accesses are watched in ascending order."""

    def __init__(self, plan: Plan, vm: str | None = None, vcpu: int = 0) -> None:
        self.host, self.vcpu = find_vcpu(plan, vm, vcpu)
        inputs = load_inputs(self.host.traces, reach_pages=self.host.reach_pages)
        self.machine = build(self.host, plan.scenario.seed, inputs)
        self._core = self.host.vcpus[self.vcpu].core
        self._watch = Watch(self.machine, Places(self.host, self.machine, self.vcpu), self.vcpu)
        twin = Twin(self._watch.watchers())
        self._take_turn = twin.module("vmcfg.engine.turn").take_turn
        self._handle_events = twin.module("vmcfg.engine.events").handle_events
        self._watched_machine = self._watch.watched_machine()
        twin.module("vmcfg.engine.loop").Runner(self._watched_machine)  # it calls the twin's entries, not compiled ones
        self._left = 0  # the core's clock after the access that was watched last

    @property
    def retired(self) -> int:
        """How many touches the vCPU has retired."""
        return int(self.machine.vcpu[self.vcpu, at.RETIRED])

    def access(self, number: int) -> Access | None:
        """Simulate up to touch `number` and through it. Returns None if the vCPU's work ends before."""
        idle_since = self._left if self.retired == number - 1 else None
        if not self.approach(number - 1) or not self._wait_until_due(number):
            return None
        start, before = self._clock(), self._counters()
        self._watch.collected()
        self._step(number)
        if self.retired < number:
            return None
        self._left = self._clock()
        counted = self._counters() - before
        access = self._access(number, start, None if idle_since is None else start - idle_since, counted)
        assert access.cycles == self._left - start, "the parts do not add up to the time that passed"
        return access

    def approach(self, number: int) -> bool:
        """Simulate, compiled, until the vCPU has retired `number` touches and its turn comes again.

        Returns False if its work, or the run, ends before.
        """
        return self._run(self.host.run_end, number) == UNTIL

    def _wait_until_due(self, number: int) -> bool:
        """Let the slices pass, compiled, before the one in which a paced touch is due; then its turn comes again."""
        while (due := self._due()) >= self._stop():
            begin = due // self.host.slice_cycles * self.host.slice_cycles
            self._run(min(begin, self.host.run_end), number)
            if not self.approach(number - 1):
                return False
        return True

    def _due(self) -> int:
        """Return when something happens next: the touch, or an end of phase or warm-up that moves the schedule."""
        v = self.machine.vcpu[self.vcpu]
        if not self.machine.work.phases[v[at.PHASE], work.STEP_DIVISOR]:
            return self._clock()
        return int(min(v[at.DUE], v[at.DEADLINE], v[at.WARM_DEADLINE]))

    def _step(self, number: int) -> None:
        cost = self.machine.cost
        mode, has_data_caches = int(cost[at.MODE]), bool(cost[at.HAS_DATA_CACHES])
        who = self._watched_machine, self._core, self.vcpu
        why = EVENTS_DUE
        with np.errstate(over="ignore"):  # as compiled arithmetic does
            while why == EVENTS_DUE:
                why = self._take_turn(*who, self._stop(), number, mode, bool(cost[at.IS_LEAN]), has_data_caches)
                if why == EVENTS_DUE and (short := self._handle_events(*who)) != DONE:
                    why = short
        self._refuse(why)

    def _run(self, end: int, until: int) -> int:
        why = loop.run(self.machine, end, self.vcpu, until)
        self._refuse(why)
        return why

    def _refuse(self, why: int) -> None:
        if why == NEED_FRAMES:
            raise out_of_frames(self.host, self.machine)
        if why == NEED_GUEST_PAGES:
            raise out_of_guest_pages(self.host, self.machine)

    def _stop(self) -> int:
        """Return the end of the current slice."""
        return min(int(self.machine.sched[at.NOW]) + self.host.slice_cycles, self.host.run_end)

    def _clock(self) -> int:
        return int(self.machine.core[self._core, at.CLOCK])

    def _counters(self) -> np.ndarray:
        """Return all counters of the host; during one access, only its own move."""
        return np.asarray(self.machine.counters.sum(axis=0))

    def _access(self, number: int, start: int, idle_cycles: int | None, counted: np.ndarray) -> Access:
        touch = self._watch.touch
        return Access(
            number=number,
            vcpu=self.host.vcpus[self.vcpu].name,
            mode=self.host.mode,
            phase=self._phase(touch.phase, touch.is_warm),
            kind=KINDS[touch.word >> at.KIND_SHIFT & 3],
            vpn=(touch.word >> at.VPN_SHIFT) & at.VPN_MASK,
            core=self._core,
            per_touch=int(counted[Event.ACCESSES]),
            idle_cycles=idle_cycles,
            start_clock=start,
            end_clock=self._left,
            parts={name: int(counted[event]) for event, name in PARTS.items()},
            raw_walk_cycles=int(counted[Event.WALK_CYCLES]),
            walkers=self.host.walkers,
            steps=self._watch.collected(),
        )

    def _phase(self, number: int, is_warm: bool) -> str:
        plan = self.host.phases[number]
        return f"{plan.workload}, " + ("warm-up" if is_warm else f"phase {plan.number}")


def find_vcpu(plan: Plan, vm: str | None, ordinal: int) -> tuple[HostPlan, int]:
    """Return the host of a vCPU, and its number there. Raises UsageError."""
    if plan.scenario.takes_memory_away:
        raise UsageError("trace: runs in which pages leave memory cannot be shown yet in this version of vmcfg")
    names = [each.vm.name for host in plan.hosts for each in host.vms]
    if vm is None and len(names) > 1:
        raise UsageError(f"--vm: found nothing, expected one of {', '.join(names)}")
    wanted = names[0] if vm is None else vm
    for host in plan.hosts:
        for number, vcpu in enumerate(host.vcpus):
            if vcpu.name == f"{wanted}/{ordinal}":
                return host, number
    if wanted not in names:
        raise UsageError(f"--vm: found '{wanted}', expected one of {', '.join(names)}")
    raise UsageError(f"--vcpu: found {ordinal}, expected 0 … {_vcpus(plan, wanted) - 1}, the vCPUs of {wanted}")


def _vcpus(plan: Plan, vm: str) -> int:
    return next(each.vm.vcpus for host in plan.hosts for each in host.vms if each.vm.name == vm)
