"""Who watches an access: before a dozen and a half kernels of the twin somebody stands and tells what happens.

Most of it only writes down what went in and came out; where a kernel changes something, the state before is looked at
too. A kernel that is renamed, or whose arguments are, stops the tracer at once and loudly; one whose *work* moves
elsewhere shows in the tests, which count the steps against the counters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vmcfg.trace.caches import CacheWatch
from vmcfg.trace.handlers import HandlerWatch
from vmcfg.trace.paging import PagingWatch
from vmcfg.trace.places import Places
from vmcfg.trace.recorder import Recorder
from vmcfg.trace.steps import Step
from vmcfg.trace.twin import Arguments, Run, Watcher
from vmcfg.trace.walks import WalkWatch
from vmcfg.vmm import machine as at


class Touch(NamedTuple):
    """What was touched: the word of the vCPU's buffer, and where its workload stood."""

    word: int
    phase: int
    is_warm: bool


class Watch:
    """Collects the steps of one access of one vCPU, and which touch it was."""

    def __init__(self, machine: at.Machine, places: Places, vcpu: int) -> None:
        self.touch = Touch(0, 0, False)
        self._told = Recorder(machine, places, vcpu)
        self._walks = WalkWatch(self._told)
        self._others = (CacheWatch(self._told), HandlerWatch(self._told), PagingWatch(self._told))

    def watchers(self) -> dict[str, Watcher]:
        """Return what stands before which kernel."""
        watchers: dict[str, Watcher] = {"vmcfg.engine.turn.stretch": self._stretch}
        for watch in (self._walks, *self._others):
            watchers |= watch.watchers()
        return watchers

    def watched_machine(self) -> at.Machine:
        """Return the same machine, on the same memory, for the twin's kernels."""
        return self._walks.watched_machine()

    def say(self, step: Step) -> None:
        """Add a step that no kernel tells of."""
        self._told.say(step)

    def collected(self) -> tuple[Step, ...]:
        """Return the steps since the last call."""
        return self._told.collected()

    def _stretch(self, run: Run, given: Arguments) -> Any:
        v = self._told.machine.vcpu[self._told.vcpu]
        position = int(v[at.NEXT])
        word = int(self._told.machine.work.buffer[self._told.vcpu, position])
        touch = Touch(word, int(v[at.PHASE]), bool(v[at.IS_WARM]))
        why = run()
        if v[at.NEXT] > position:
            self.touch = touch
        return why
