"""What a host's workloads read from files: all traces in two arrays, and what their pages add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from attrs import frozen

from vmcfg.scenario.spec import Region, Trace
from vmcfg.workload.traces import read
from vmcfg.workload.traces.fault import bad_trace

USUAL_REACH = 1 << 36  # pages that a page table of four levels can map

Key = tuple[Path, Path | None, str]


@frozen
class Place:
    """Where a trace lies in `records`, its page numbers in `vpns`, its epochs in `epochs`: the first, and how many."""

    first: int
    records: int
    first_index: int
    pages: int
    first_epoch: int
    epochs: int


@frozen(eq=False)
class Inputs:
    """All traces of a host: records u32 (index << 2 | kind), vpns i64 (page of each index).

    epochs i64: after how many of its trace's records each epoch ends, of those traces that are told by epochs.
    """

    records: np.ndarray
    vpns: np.ndarray
    epochs: np.ndarray
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


def load_inputs(
    traces: Iterable[Trace], most_bytes: int | None = None, reach_pages: int = USUAL_REACH
) -> Inputs:
    """Read each distinct trace once, into `most_bytes` at most if there is such a limit.

    Raises TraceError for a file that is not whole, one that holds more than fits, and one with pages from `reach_pages`
    on, which a guest cannot address.
    """
    distinct = {key_of(trace): trace for trace in traces}
    places: dict[Key, Place] = {}
    records, vpns, epochs = [], [], []
    first = first_index = first_epoch = 0
    for key, trace in distinct.items():
        data = read(trace, most_bytes)
        _check_reach(trace, data.vpns, reach_pages)
        if most_bytes is not None:
            most_bytes -= data.held_bytes
        ends = data.ends
        places[key] = Place(first, len(data.records), first_index, len(data.vpns), first_epoch, len(ends))
        records.append(data.records)
        vpns.append(data.vpns)
        epochs.append(ends)
        first += len(data.records)
        first_index += len(data.vpns)
        first_epoch += len(ends)
    return Inputs(_joined(records, np.uint32), _joined(vpns, np.int64), _joined(epochs, np.int64), places)


def _check_reach(trace: Trace, vpns: np.ndarray, reach_pages: int) -> None:
    highest = int(vpns.max())
    if highest >= reach_pages:
        expected = f"a page below {_shown(reach_pages)}, which a guest of the host can address"
        raise bad_trace(trace.file, "", f"page {highest:#x}", expected)


def _shown(pages: int) -> str:
    return f"2^{pages.bit_length() - 1}" if pages & (pages - 1) == 0 else f"{pages:#x}"


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    """Return all parts as one array; a single one is not copied, because a trace may fill most of the memory."""
    return parts[0] if len(parts) == 1 else np.concatenate([np.zeros(0, dtype), *parts])
