"""Checkpoints of the rolling digests: at most 64 are kept, however long the run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vmcfg.digest import COUNTERS, fold
from vmcfg.jit import as_python
from vmcfg.metrics.events import Event, Exit, Found, Sized
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
    """Fold every counter under its own name: one that stays 0, as those of unused mechanisms do, changes nothing."""
    with np.errstate(over="ignore"):
        mixed = np.uint64(0)
        # Those of data caches and of page sizes are there where these are modelled.
        for counters, keys in zip((machine.counters, machine.data_caches.counts, machine.sizes), _KEYS, strict=True):
            for row in counters.view(np.uint64):
                mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + (row * keys).sum(dtype=np.uint64)
        as_python(fold)(machine.digest, COUNTERS, mixed)


def _keys(names: Iterable[str]) -> np.ndarray:
    return np.array([mixed_key(0, f"counter/{name}") | 1 for name in names], np.uint64)


# Follow from exits that are folded, and came later: goldens from before them stay as they are.
_NOT_FOLDED = (Event.INVVPIDS_ADDRESS, Event.INVVPIDS_CONTEXT, Event.INVEPTS)
_EXITS = [f"{reason.name}/{what}" for what in ("count", "cycles") for reason in Exit]
_KEYS = (
    _keys([*(event.name for event in Event), *_EXITS]),
    _keys(found.name for found in Found),
    _keys(sized.name for sized in Sized),
)
_KEYS[0][list(_NOT_FOLDED)] = 0
