"""Recorded streams of accesses: every format becomes the same pair of arrays.

A format is a generator `accesses(source)` in a file of its own, which yields pages and kinds in order, and one line
in `FORMATS`. Everything else is common: decompression by content, hashing, the map of page numbers, interning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from attrs import frozen

from vmcfg.scenario import trace_files
from vmcfg.scenario.spec import Trace
from vmcfg.workload.traces import champsim, csv, guest_physical, lackey, oracle_general, records, u64
from vmcfg.workload.traces.fault import TraceError, bad_trace
from vmcfg.workload.traces.interning import MAX_PAGES, Interner
from vmcfg.workload.traces.source import Source

__all__ = ["FORMATS", "SETS", "TraceData", "TraceError", "read"]

FORMATS: dict[str, Callable[[Source], Iterator[tuple[np.ndarray, np.ndarray]]]] = {
    "lackey": lackey.accesses,
    "records": records.accesses,
    "oracle_general": oracle_general.accesses,
    "champsim": champsim.accesses,
    "u64": u64.accesses,
    "csv": csv.accesses,
}


SETS: dict[str, Callable[[Source], Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]]] = {
    "guest_physical": guest_physical.epochs,
}
"""Formats of what was accessed in each epoch: runs replay them below the guest's page tables, and no TLB sees them."""


@frozen(eq=False)
class TraceData:
    """A trace in memory.

    `records` uint32, in order: index << 2 | kind, kind 0 fetch, 1 load, 2 store. `vpns` int64: the virtual page
    number of each index, in order of first appearance. `kind` says what the trace may feed: `full` holds every access
    and may feed all, `sets` what was accessed in each epoch, and may feed what looks no finer: `epoch_ends` int64 says
    after how many records each of them ends. `sha256` covers the file on disk, then the file of page numbers if there
    is one.
    """

    records: np.ndarray
    vpns: np.ndarray
    kind: str
    sha256: str
    reads: int
    writes: int
    fetches: int
    epoch_ends: np.ndarray

    @property
    def epoch_count(self) -> int:
        """How many epochs have ended."""
        return len(self.epoch_ends)

    @property
    def ends(self) -> np.ndarray:
        """The same as `epoch_ends`, and where the records end in an epoch that was cut short, if there is one."""
        told = int(self.epoch_ends[-1]) if self.epoch_count else 0
        is_cut_short = self.kind == "sets" and told < len(self.records)
        return np.append(self.epoch_ends, len(self.records)) if is_cut_short else self.epoch_ends

    @property
    def held_bytes(self) -> int:
        """Memory that the arrays take."""
        return self.records.nbytes + self.vpns.nbytes + self.epoch_ends.nbytes


def read(trace: Trace, most_bytes: int | None = None) -> TraceData:
    """Read all of a trace, or raise a TraceError that says where and why not.

    `most_bytes` bounds the memory that its records and pages may take: a small compressed file can hold any number.
    """
    vpns = _page_numbers(trace)
    source = _source(trace.file, trace.path, trace.format)
    interner = Interner()
    counts = np.zeros(3, np.int64)
    epoch_ends = [np.zeros(0, np.int64)]
    for pages, kinds, *ends in (SETS | FORMATS)[trace.format](source):
        epoch_ends += [interner.record_count + each for each in ends]
        if vpns is not None:
            pages = records.mapped(pages, vpns, source, interner.record_count)
        if most_bytes is not None and interner.bytes_with(len(pages)) > most_bytes:
            raise _too_large(trace.file, interner.record_count, most_bytes)
        interner.add(pages, kinds)
        counts += np.bincount(kinds, minlength=3)
        if interner.page_count > MAX_PAGES:
            raise source.fault(source.record(interner.record_count - 1), "more distinct pages", f"at most {MAX_PAGES}")
    if not interner.record_count:
        raise source.fault("", "no accesses", "at least one")
    fetches, reads, writes = (int(count) for count in counts)
    sha256 = source.sha256(*([trace.vpn_path] if trace.vpn_path else []))
    kind = "sets" if trace.format in SETS else "full"
    return TraceData(*interner.take(), kind, sha256, reads, writes, fetches, np.concatenate(epoch_ends))


def _too_large(file: str, count: int, most_bytes: int) -> TraceError:
    found = f"more records than fit into {most_bytes} bytes ({count} have been read)"
    return TraceError("over_limit", f"{file}: found {found}, expected a shorter trace; allow more with --limit")


def _page_numbers(trace: Trace) -> np.ndarray | None:
    if trace.vpn_path is None:
        return None
    if trace.format != "records":
        raise bad_trace(trace.file, "", f"a vpn file for the format {trace.format}", "one with the format records only")
    return records.page_numbers(_source(trace.vpn_file, trace.vpn_path, "vpn"))


def _source(file: str, path: Path, fmt: str) -> Source:
    if fault := trace_files.faults(path, fmt):
        raise TraceError("bad_trace", f"{file}: {fault}")
    return Source(file, path)
