"""Plan → the data caches of a host: where each one's sets lie, and what a reference costs by where it is found."""

from __future__ import annotations

import numpy as np

from vmcfg.hardware import data_caches as lines
from vmcfg.jit import as_python
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import DataCache

CACHE_LINE = 64  # of the computer that we run on: a set is one of them, two, or half of one


def data_caches_of(host: HostPlan) -> lines.DataCaches:
    """Return a host's data caches, empty."""
    declared = host.data_caches
    tags = _tags(sum(array.shape[0] for array in host.arrays if array.name == "data_caches.tags"))
    shape = np.zeros((1 + lines.OWN * host.cores, lines.SHAPE_FIELDS), np.int64)
    if declared is None or host.latencies is None:
        nothing = np.zeros(0, np.int64), np.zeros((0, lines.PLACES), np.int64)
        return lines.DataCaches(tags, shape, *nothing, *_none_noted())
    latency = np.array(list(host.latencies.values()), np.int64)
    first = 0
    for cache, level in enumerate([declared.llc, *(declared.l1, declared.l2) * host.cores]):
        shape[cache] = _shape(level, first) if level else _NOTHING
        first += level.sets << _shift(level) if level else 0
    assert first == len(tags), "the plan has reserved another number of places"
    levels = (declared.l1, declared.l2, declared.llc)
    shape[:, lines.COMMON] = min(lines.divide_by(level.sets)[0] for level in levels if level)
    return lines.DataCaches(tags, shape, latency, np.zeros((host.rows, lines.PLACES), np.int64), *_none_noted())


def one_cache(level: DataCache) -> lines.DataCaches:
    """Return a cache by itself, empty: the last level of a host that has no other, at no cost."""
    shape = np.array([_shape(level, 0)], np.int64)
    shape[0, lines.COMMON] = lines.divide_by(level.sets)[0]
    tags = _tags(level.sets << _shift(level))
    at_no_cost = np.zeros(lines.PLACES, np.int64), np.zeros((0, lines.PLACES), np.int64)
    return lines.DataCaches(tags, shape, *at_no_cost, *_none_noted())


_NOTHING = (lines.NONE, 0, 0, *lines.divide_by(1), 0)


def _none_noted() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(lines.MOST_NOTED, np.int64), np.zeros(1, np.int64)


def _tags(length: int) -> np.ndarray:
    """Allocate empty tags, at least one, on a cache line's border."""
    raw = np.full(4 * max(1, length) + CACHE_LINE, lines.EMPTY, np.uint8)
    skip = -raw.ctypes.data % CACHE_LINE
    return raw[skip : skip + 4 * max(1, length)].view(np.int32)


def _shape(level: DataCache, first: int) -> tuple[int, ...]:
    return lines.kind_of(level.sets, level.ways), first, 1 << (level.ways - 1), *lines.divide_by(level.sets), 0


def _shift(level: DataCache) -> int:
    return int(as_python(lines.shift_of)(lines.kind_of(level.sets, level.ways)))
