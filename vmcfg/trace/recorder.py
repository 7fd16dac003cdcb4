"""What those who watch share: where they look from, and the steps that they tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmcfg.trace.places import Places
from vmcfg.trace.steps import Step
from vmcfg.vmm import machine as at


class Recorder:
    """Collects the steps of one vCPU's accesses; `vpn` is the page whose walk or fault is under way."""

    def __init__(self, machine: at.Machine, places: Places, vcpu: int) -> None:
        self.machine = machine
        self.places = places
        self.vcpu = vcpu
        self.vpn = 0
        self.is_looking_up = True
        self._steps: list[Step] = []

    def say(self, step: Step) -> None:
        """Add a step to the access, or to the step that is under way."""
        self._steps.append(step)

    def collected(self) -> tuple[Step, ...]:
        """Return the steps since the last call."""
        done, self._steps = self._steps, []
        return tuple(done)

    @contextmanager
    def inside(self) -> Iterator[list[Step]]:
        """Collect the steps of a step."""
        outer, self._steps = self._steps, []
        try:
            yield self._steps
        finally:
            self._steps = outer

    @contextmanager
    def no_lookups(self) -> Iterator[None]:
        """Let searches of caches pass that look nothing up."""
        outer, self.is_looking_up = self.is_looking_up, False
        try:
            yield
        finally:
            self.is_looking_up = outer
