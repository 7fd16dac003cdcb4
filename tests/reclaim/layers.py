"""One layer, driven by what happens to pages: by the compiled verbs, or by their plain twins."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from oracle import replacement as oracle

from vmcfg.jit import by_reference, entry
from vmcfg.reclaim import layer as layers
from vmcfg.reclaim import replacement
from vmcfg.rng import mixed_key
from vmcfg.trace.twin import Twin

ENTER, REFER, LEAVE, VICTIM = range(4)
NOBODY = -1
KEY = mixed_key(1, "victims")


class Step(NamedTuple):
    """What happens to a page of an owner."""

    what: int
    owner: int
    page: int = 0
    when: int = 0


def play(layer: layers.Layer, steps: Iterable[Step], plain: bool = False) -> list[int]:
    """Do all steps; return the victims, in their order."""
    todo = np.array([*steps], np.int64).reshape(-1, 4)
    victims = np.zeros(len(todo), np.int64)
    (_played_plainly if plain else _played)(layer, todo, victims)
    return [int(page) for page, (what, *_) in zip(victims, todo, strict=True) if what == VICTIM]


@entry
def _played(whole, steps, victims):
    layer = by_reference(whole)
    for i in range(steps.shape[0]):
        what, owner, page, when = steps[i, 0], steps[i, 1], steps[i, 2], steps[i, 3]
        if what == ENTER:
            replacement.enter(layer, owner, page, when)
        elif what == REFER:
            replacement.refer(layer, owner, page, when)
        elif what == LEAVE:
            replacement.leave(layer, owner, page)
        else:
            victims[i] = replacement.victim(layer, owner)


def _played_plainly(layer: layers.Layer, steps: np.ndarray, victims: np.ndarray) -> None:
    plain = Twin({}).module("vmcfg.reclaim.replacement")
    verbs = (plain.enter, plain.refer, lambda layer, owner, page, when: plain.leave(layer, owner, page))
    with np.errstate(over="ignore"):
        for i, (what, owner, page, when) in enumerate(steps):
            if what == VICTIM:
                victims[i] = plain.victim(layer, owner)
            else:
                verbs[what](layer, owner, page, when)


def naive(policy: str, stream: str = "victims") -> Any:
    """The oracle's policy; random draws from the same stream of seed 1, the high word of a 128-bit product."""
    return oracle.Random(drawing(stream)) if policy == "random" else oracle.POLICIES[policy]()


def drawing(stream: str) -> Callable[[int, int], int]:
    """Return what makes draws below an end, in Python's integers."""
    key = int(mixed_key(1, stream))
    return lambda index, end: (_mix(key ^ _mix(index)) * end) >> 64


def _mix(x: int) -> int:
    mask = (1 << 64) - 1
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
    return x ^ (x >> 31)
