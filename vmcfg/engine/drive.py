"""A host on its way: the compiled loop, what is due at its time in between, and the decisions that policy takes.

for each due time:  while (why := run(machine, due)) is not done: decide
                    do what is due
"""

from __future__ import annotations

from collections.abc import Sequence

from vmcfg.engine import loop
from vmcfg.engine.dirty_rounds import Rounds
from vmcfg.engine.due import Action, schedule
from vmcfg.engine.kills import Kills
from vmcfg.engine.paging import allow
from vmcfg.engine.room import ALL_FINISHED, DONE, NEED_FRAMES, NEED_GUEST_PAGES, UNTIL
from vmcfg.engine.shortage import out_of_frames, out_of_guest_pages
from vmcfg.errors import RunFailed
from vmcfg.metrics.result import WORKLOAD
from vmcfg.plan.model import UNLIMITED, HostPlan
from vmcfg.vmm import machine as at


class Drive:
    """Drives a machine from t = 0 on; `rounds` and `kills` are what it has come by.

    What is `repeated`, each so many nanoseconds, comes last among what is due at the same time: epochs and samples.
    """

    def __init__(self, host: HostPlan, machine: at.Machine, repeated: Sequence[tuple[int, Action]] = ()) -> None:
        self.rounds, self.kills = Rounds(len(host.vms)), Kills(host, machine)
        self._host, self._machine = host, machine
        self._runner = loop.Runner(machine)
        self._schedule = schedule(host, machine, repeated, self.rounds, self.kills)
        self._due, _, self._action = next(self._schedule, (UNLIMITED, 0, _nothing))

    def go(self, end: int = UNLIMITED, until_vcpu: int = at.NOBODY, until_retired: int = 0) -> int:
        """Go on up to the slice that begins at `end`, or the end of the run, or until a vCPU has retired so many.

        Returns DONE, ALL_FINISHED or UNTIL. Raises RunFailed: `out_of_frames`, `out_of_guest_pages`.
        """
        end = min(end, self._host.run_end)
        while True:
            why = self._run_to(min(self._due, end), until_vcpu, until_retired)
            if why in (UNTIL, ALL_FINISHED) or self._machine.sched[at.NOW] >= end:
                return why
            self._action()
            self._due, _, self._action = next(self._schedule, (UNLIMITED, 0, _nothing))

    def decide(self, why: int) -> bool:
        """Decide what no kernel can: who has to give frames, or which process a guest ends; tell whether that helps."""
        if why == NEED_FRAMES:
            return allow(self._machine)
        return why == NEED_GUEST_PAGES and self.kills.kill(self._asking(), WORKLOAD)

    def failure(self, why: int) -> RunFailed:
        """Return what to raise where no decision helps."""
        end_with = out_of_frames if why == NEED_FRAMES else out_of_guest_pages
        return end_with(self._host, self._machine)

    def _run_to(self, due: int, until_vcpu: int, until_retired: int) -> int:
        while (why := self._runner.run(due, until_vcpu, until_retired)) not in (DONE, ALL_FINISHED, UNTIL):
            if not self.decide(why):
                raise self.failure(why)
        return why

    def _asking(self) -> int:
        """Return the vCPU whose turn has stopped: the head of the queue of the core that is at work."""
        return int(self._machine.queue[int(self._machine.sched[at.TURN]), 0])


def _nothing() -> None:
    """Nothing is due, ever."""
