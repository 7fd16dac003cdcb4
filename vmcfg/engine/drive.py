"""A host on its way: the compiled loop, what is due at its time in between, and the decisions that policy takes.

for each due time:  while (why := run(machine, due)) is not done: decide
                    do what is due

Touches are bounded before a run begins. Not so the time between them: nobody knows how long disks will be waited for.
So what is done only because time passes is counted on the way, and a run that has gone through too much of it is ended.
"""

from __future__ import annotations

from collections.abc import Sequence

from vmcfg.engine import loop
from vmcfg.engine.dirty_rounds import Rounds
from vmcfg.engine.due import Action, schedule
from vmcfg.engine.kills import Kills
from vmcfg.engine.paging import allow
from vmcfg.engine.room import ALL_FINISHED, DONE, NEED_FRAMES, NEED_GUEST_PAGES, TOO_LONG, UNTIL
from vmcfg.engine.shortage import out_of_frames, out_of_guest_pages
from vmcfg.errors import RunFailed
from vmcfg.metrics.result import WORKLOAD
from vmcfg.plan.limits import MOST_TOUCHES, SLICES_PER_STEP
from vmcfg.plan.model import UNLIMITED, HostPlan
from vmcfg.vmm import machine as at


class Drive:
    """Drives a machine from t = 0 on; `rounds` and `kills` are what it has come by.

    What is `repeated`, each so many nanoseconds, comes last among what is due at the same time: epochs and samples.
    A slice of a core counts as a step, and what is due as SLICES_PER_STEP; there are to be no more than `most_steps`.
    """

    def __init__(
        self,
        host: HostPlan,
        machine: at.Machine,
        repeated: Sequence[tuple[int, Action]] = (),
        most_steps: int = MOST_TOUCHES,
    ) -> None:
        self.rounds, self.kills = Rounds(len(host.vms)), Kills(host, machine)
        self._host, self._machine = host, machine
        machine.sched[at.MOST_STEPS] = most_steps
        self._runner = loop.Runner(machine)
        self._schedule = schedule(host, machine, repeated, self.rounds, self.kills)
        self._due, _, self._action = next(self._schedule, (UNLIMITED, 0, _nothing))

    def go(self, end: int = UNLIMITED, until_vcpu: int = at.NOBODY, until_retired: int = 0) -> int:
        """Go on up to the slice that begins at `end`, or the end of the run, or until a vCPU has retired so many.

        Returns DONE, ALL_FINISHED or UNTIL. Raises RunFailed: `out_of_frames`, `out_of_guest_pages`, `over_limit`.
        """
        end = min(end, self._host.run_end)
        while True:
            why = self._run_to(min(self._due, end), until_vcpu, until_retired)
            if why in (UNTIL, ALL_FINISHED) or UNLIMITED > self._machine.sched[at.NOW] >= end:
                return why
            self._count_step()
            self._action()
            self._due, _, self._action = next(self._schedule, (UNLIMITED, 0, _nothing))

    def decide(self, why: int) -> bool:
        """Decide what no kernel can: who has to give frames, or which process a guest ends; tell whether that helps."""
        if why == NEED_FRAMES:
            return allow(self._machine)
        return why == NEED_GUEST_PAGES and self.kills.kill(self._asking(), WORKLOAD)

    def failure(self, why: int) -> RunFailed:
        """Return what to raise where no decision helps."""
        if why == TOO_LONG:
            return too_long(self._host, self._machine)
        end_with = out_of_frames if why == NEED_FRAMES else out_of_guest_pages
        return end_with(self._host, self._machine)

    def _run_to(self, due: int, until_vcpu: int, until_retired: int) -> int:
        while (why := self._runner.run(due, until_vcpu, until_retired)) not in (DONE, ALL_FINISHED, UNTIL):
            if not self.decide(why):
                raise self.failure(why)
        return why

    def _count_step(self) -> None:
        """Count that something is due, before it happens: several things may be due in the same slice."""
        sched = self._machine.sched
        sched[at.STEPS] += SLICES_PER_STEP
        if sched[at.STEPS] > sched[at.MOST_STEPS]:
            raise self.failure(TOO_LONG)

    def _asking(self) -> int:
        """Return the vCPU whose turn has stopped: the head of the queue of the core that is at work."""
        return int(self._machine.queue[int(self._machine.sched[at.TURN]), 0])


def too_long(host: HostPlan, machine: at.Machine) -> RunFailed:
    """Return the error of a run that goes on and on, while disks are waited for or next to nothing happens."""
    sched = machine.sched
    return RunFailed(
        "over_limit",
        f"host {host.name} has simulated {int(sched[at.NOW]) * 1000 // host.hz} ms, and its work is not done: slices "
        f"of its cores and what was due at its time (epochs, samples, drivers), each of which counts as "
        f"{SLICES_PER_STEP} slices, have come to {int(sched[at.STEPS])}; the limit is {int(sched[at.MOST_STEPS])}\n"
        "use faster disks, sample and poll less often, take longer slices and epochs, or allow more with "
        "--limit-accesses",
    )


def _nothing() -> None:
    """Nothing is due, ever."""
