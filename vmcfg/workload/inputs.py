"""What a host's workloads read from files: all traces in two arrays, and what their pages add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from attrs import frozen

from vmcfg.scenario.spec import Region, Trace
from vmcfg.workload.traces import read

Key = tuple[Path, Path | None, str]


@frozen
class Place:
    """Where a trace lies in `records` (first, how many) and its page numbers in `vpns` (first, how many)."""

    first: int
    records: int
    first_index: int
    pages: int


@frozen(eq=False)
class Inputs:
    """All traces of a host: records u32 (index << 2 | kind), vpns i64 (page of each index)."""

    records: np.ndarray
    vpns: np.ndarray
    places: Mapping[Key, Place]

    def place(self, trace: Trace) -> Place:
        """Return where a trace lies."""
        return self.places[key_of(trace)]

    def pages(self, regions: Iterable[Region], traces: Iterable[Trace]) -> np.ndarray:
        """Return every virtual page that regions and traces can touch, ascending: i64[pages]."""
        parts = [np.arange(region.base_vpn, region.base_vpn + region.pages) for region in regions]
        parts += [self._vpns_of(trace) for trace in traces]
        return np.unique(np.concatenate(parts).astype(np.int64))

    def _vpns_of(self, trace: Trace) -> np.ndarray:
        place = self.place(trace)
        return self.vpns[place.first_index : place.first_index + place.pages]


def key_of(trace: Trace) -> Key:
    """Return what makes two mentions of a trace the same input."""
    return trace.path, trace.vpn_path, trace.format


def load_inputs(traces: Iterable[Trace]) -> Inputs:
    """Read each distinct trace once. Raises TraceError for a file that is not whole."""
    distinct = {key_of(trace): trace for trace in traces}
    places: dict[Key, Place] = {}
    records, vpns = [np.zeros(0, np.uint32)], [np.zeros(0, np.int64)]
    first = first_index = 0
    for key, trace in distinct.items():
        data = read(trace)
        places[key] = Place(first, len(data.records), first_index, len(data.vpns))
        records.append(data.records)
        vpns.append(data.vpns)
        first += len(data.records)
        first_index += len(data.vpns)
    return Inputs(np.concatenate(records), np.concatenate(vpns), places)
