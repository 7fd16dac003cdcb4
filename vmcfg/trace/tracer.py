"""From a plan to accesses that were watched: compiled up to the first of them, plain Python through each.

The loop stops before the touch (`until`), wherever that is inside a slice. The vCPU then holds its core, and what
comes next is its turn: the same `take_turn`, on the same arrays, called in the twin and stopped after one touch. What
a turn stops for (events of the guest's kernel, frames or pages to be freed) is answered there too. What lies between
two accesses of the vCPU (other vCPUs, slices, what is due at its time, waiting for a disk, or until a paced touch is
due) runs compiled again. So the machine goes the way that it would have gone unwatched.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.engine.build import build
from vmcfg.engine.drive import Drive
from vmcfg.engine.loop import ASK
from vmcfg.engine.room import DONE, EVENTS_DUE, NEED_FRAMES, NEED_GUEST_PAGES, UNTIL
from vmcfg.errors import UsageError
from vmcfg.metrics.events import CHARGED, Event
from vmcfg.plan.model import HostPlan, Plan
from vmcfg.trace.paging_steps import Wait
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
WAITING = "waiting"  # for frames or its next slice, before the touch


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
        self._drive = Drive(self.host, self.machine)
        self._core = self.host.vcpus[self.vcpu].core
        self._watch = Watch(self.machine, Places(self.host, self.machine, self.vcpu), self.vcpu)
        twin = Twin(self._watch.watchers())
        self._take_turn = twin.module("vmcfg.engine.turn").take_turn
        self._watched_machine = self._watch.watched_machine()
        loop = twin.module("vmcfg.engine.loop")
        self._answer_turn = loop._answer
        self._runner = loop.Runner(self._watched_machine)  # it calls the twin's entries, not compiled ones
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
        start = self._clock()
        self._watch.collected()
        counted, waited = self._step(number), 0
        while self.retired < number:
            stopped, is_waiting = self._clock(), self._is_waiting()
            if not self.approach(number - 1):
                return None
            waited += self._clock() - stopped
            if is_waiting:
                self._watch.say(Wait(self._clock() - stopped))
            counted = counted + self._step(number)
        self._left = self._clock()
        idle_cycles = None if idle_since is None else start - idle_since
        access = self._access(number, start, idle_cycles, counted, waited)
        assert access.cycles == self._left - start, "the parts do not add up to the time that passed"
        return access

    def approach(self, number: int) -> bool:
        """Simulate, compiled, until the vCPU has retired `number` touches and its turn comes again.

        Returns False if its work, or the run, ends before.
        """
        return self._drive.go(self.host.run_end, self.vcpu, number) == UNTIL

    def _wait_until_due(self, number: int) -> bool:
        """Let the slices pass, compiled, before the one in which a paced touch is due; then its turn comes again."""
        while (due := self._due()) >= self._stop():
            begin = due // self.host.slice_cycles * self.host.slice_cycles
            self._drive.go(begin, self.vcpu, number)
            if not self.approach(number - 1):
                return False
        return True

    def _due(self) -> int:
        """Return when something happens next: the touch, or an end of phase or warm-up that moves the schedule."""
        v = self.machine.vcpu[self.vcpu]
        if not self.machine.work.phases[v[at.PHASE], work.STEP_DIVISOR]:
            return self._clock()
        return int(min(v[at.DUE], v[at.DEADLINE], v[at.WARM_DEADLINE]))

    def _is_waiting(self) -> bool:
        """Tell whether the vCPU waits for a disk: for the frames of pages that leave before its touch can begin."""
        return int(self.machine.vcpu[self.vcpu, at.WAITS_UNTIL]) > self._clock()

    def _step(self, number: int) -> np.ndarray:
        """Take the vCPU's turn through one touch, or to where it must stop first; return what that has counted.

        It stops for frames that are on their way, or because what was done for it has used its slice up.
        """
        before = self._counters()
        cost = self.machine.cost
        mode, has_data_caches = int(cost[at.MODE]), bool(cost[at.HAS_DATA_CACHES])
        who = self._watched_machine, self._core, self.vcpu
        how = self._stop(), number, mode, False, has_data_caches  # lean loops spare lookups that are sure to hit
        with np.errstate(over="ignore"):  # as compiled arithmetic does
            while (why := self._take_turn(*who, *how)) in (EVENTS_DUE, NEED_FRAMES, NEED_GUEST_PAGES):
                self._answer(why)
        return self._counters() - before

    def _answer(self, why: int) -> None:
        """Do what a turn has stopped for, as the loop does; decide where kernels cannot."""
        want = int(self._answer_turn(self._watched_machine, self._core, why))
        if want >= ASK:
            self._runner.find(want - ASK)
        elif want != DONE and not self._drive.decide(want):
            raise self._drive.failure(want)

    def _stop(self) -> int:
        """Return the end of the current slice."""
        return min(int(self.machine.sched[at.NOW]) + self.host.slice_cycles, self.host.run_end)

    def _clock(self) -> int:
        return int(self.machine.core[self._core, at.CLOCK])

    def _counters(self) -> np.ndarray:
        """Return all counters of the host; during one access, only its own move."""
        return np.asarray(self.machine.counters.sum(axis=0))

    def _access(self, number: int, start: int, idle_cycles: int | None, counted: np.ndarray, waited: int) -> Access:
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
            waits_until=int(self.machine.vcpu[self.vcpu, at.WAITS_UNTIL]),
            parts={name: int(counted[event]) for event, name in PARTS.items()} | {WAITING: waited},
            raw_walk_cycles=int(counted[Event.WALK_CYCLES]),
            walkers=self.host.walkers,
            steps=self._watch.collected(),
        )

    def _phase(self, number: int, is_warm: bool) -> str:
        plan = self.host.phases[number]
        return f"{plan.workload}, " + ("warm-up" if is_warm else f"phase {plan.number}")


def find_vcpu(plan: Plan, vm: str | None, ordinal: int) -> tuple[HostPlan, int]:
    """Return the host of a vCPU, and its number there. Raises UsageError."""
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
