"""Checkpoints of the rolling digests: at most 64 are kept, however long the run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vmcfg.digest import COUNTERS, fold
from vmcfg.jit import as_python
from vmcfg.metrics.events import Event, Exit
from vmcfg.metrics.result import Checkpoint
from vmcfg.rng import mixed_key
from vmcfg.vmm import machine as at

MOST = 64


class Checkpoints:
    """Collects digests; when the 65th comes, every second one is dropped and the interval doubles."""

    def __init__(self, subsystems: Sequence[str]) -> None:
        self._subsystems = subsystems
        self._kept: list[Checkpoint] = []
        self._stride = 1
        self._seen = 0
        self._last: Checkpoint | None = None

    def add(self, cycles: int, machine: at.Machine) -> None:
        """Fold the counters of all hits into their digest, and keep a checkpoint if its turn has come."""
        _fold_counters(machine)
        values = {name: int(value) for name, value in zip(self._subsystems, machine.digest, strict=True)}
        self._last = Checkpoint(cycles, values)
        self._seen += 1
        if self._seen % self._stride == 0:
            self._kept.append(self._last)
        if len(self._kept) > MOST:
            self._kept = self._kept[1::2]
            self._stride *= 2

    def kept(self) -> tuple[Checkpoint, ...]:
        """Return the kept checkpoints and the end of the run: 64 at the most."""
        if self._last is None or self._kept[-1:] == [self._last]:
            return tuple(self._kept)
        return (*self._kept[: MOST - 1], self._last)


def _fold_counters(machine: at.Machine) -> None:
    """Fold the counters in their order, then under its name each that came later and is not 0.

    So a mechanism that a run does not use changes nothing in its digest.
    """
    with np.errstate(over="ignore"):
        mixed = np.uint64(0)
        # Those of data caches and of page sizes are there where these are modelled.
        for counters in (machine.counters[:, _FIRST], machine.data_caches.counts, machine.sizes):
            for value in counters.ravel().view(np.uint64):
                mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + value
        for column, key in _LATER.items():
            for value in machine.counters[:, column].view(np.uint64):
                mixed += value * key
        as_python(fold)(machine.digest, COUNTERS, mixed)


_COLUMNS = [event.name for event in Event]
_COLUMNS += [f"{reason.name}/{what}" for what in ("count", "cycles") for reason in Exit]
_CAME_LATER = ("PAGES_LOGGED", "PML_FULL/count", "PML_FULL/cycles")
_FIRST = [column for column, name in enumerate(_COLUMNS) if name not in _CAME_LATER]
_LATER = {_COLUMNS.index(name): np.uint64(mixed_key(0, f"counter/{name}") | 1) for name in _CAME_LATER}
