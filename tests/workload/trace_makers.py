"""Writes small traces of every format, and reads them again in the most obvious way."""

from __future__ import annotations

import gzip
import lzma
import struct
import tempfile
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import zstandard

from vmcfg.scenario.spec import Trace
from vmcfg.workload import traces

DATA = Path(__file__).parents[2] / "scenarios" / "data"

COMPRESS = {
    "plain": lambda data: data,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}

Access = tuple[int, int]  # page, kind


def read(fmt: str, contents: bytes, vpn: bytes | None = None, name: str = "t") -> traces.TraceData:
    """Read `contents` as a trace file called `name`, with a file of page numbers `t.vpn` if there is one."""
    with tempfile.TemporaryDirectory() as folder:
        path, vpn_path = Path(folder, name), Path(folder, "t.vpn")
        path.write_bytes(contents)
        if vpn is None:
            return traces.read(Trace(name, path, fmt))
        vpn_path.write_bytes(vpn)
        return traces.read(Trace(name, path, fmt, "t.vpn", vpn_path))


def shipped(name: str, fmt: str, vpn: str = "") -> traces.TraceData:
    """Read one of the real traces in scenarios/data."""
    return traces.read(Trace(name, DATA / name, fmt, vpn, DATA / vpn if vpn else None))


def accesses_of(data: traces.TraceData) -> list[Access]:
    """Undo the interning."""
    return [(int(data.vpns[record >> 2]), record & 3) for record in data.records.tolist()]


def words(values: Iterable[int]) -> bytes:
    """Pack u64."""
    return b"".join(struct.pack("<Q", value) for value in values)


def records(accesses: Iterable[Access]) -> bytes:
    """Write program-trace records."""
    return b"".join(struct.pack("<I", page << 2 | kind) for page, kind in accesses)


def lackey_line(letter: str, address: int, size: int) -> str:
    """Write one line as valgrind does."""
    return f"{'I ' if letter == 'I' else ' ' + letter} {address:08x},{size}\n"


def naive_lackey(text: str) -> list[Access]:
    """Read lackey text the obvious way."""
    accesses = []
    for line in text.splitlines():
        if line and not line.startswith("=="):
            address, size = int(line[3:].split(",")[0], 16), int(line.split(",")[1])
            for kind in {"I": (0,), "L": (1,), "S": (2,), "M": (1, 2)}[line[:2].strip()]:
                accesses += [(page, kind) for page in range(address >> 12, ((address + size - 1) >> 12) + 1)]
    return accesses


def naive_interning(accesses: Iterable[Access]) -> tuple[list[int], list[int]]:
    """Return (records, pages) with pages numbered in order of first appearance."""
    page_to_index: dict[int, int] = {}
    numbered = [page_to_index.setdefault(page, len(page_to_index)) << 2 | kind for page, kind in accesses]
    return numbered, list(page_to_index)


def lru_misses(indices: Iterable[int], capacity: int) -> int:
    """Count the misses of a fully associative LRU memory of `capacity` pages."""
    held: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for index in indices:
        if index in held:
            held.move_to_end(index)
            continue
        misses += 1
        held[index] = None
        if len(held) > capacity:
            held.popitem(last=False)
    return misses


Instruction = tuple[int, tuple[int, int], tuple[int, int, int, int]]  # pointer, destination memory, source memory


def oracle_general(pages: Iterable[int]) -> bytes:
    """Write libCacheSim's requests, with a time, a size and a next access that nobody reads."""
    return b"".join(struct.pack("<IQIq", i, page, 4096, -1) for i, page in enumerate(pages))


def champsim(instructions: Iterable[Instruction]) -> bytes:
    """Write ChampSim's instructions, with branch flags and registers that nobody reads."""
    return b"".join(
        struct.pack("<QBB2B4B2Q4Q", pointer, 1, 1, 2, 3, 4, 5, 6, 7, *stores, *loads)
        for pointer, stores, loads in instructions
    )


def naive_champsim(contents: bytes) -> list[Access]:
    """Read ChampSim's instructions the obvious way."""
    accesses = []
    for record in struct.iter_unpack("<Q8x2Q4Q", contents):
        order = [(record[0], 0), *((load, 1) for load in record[3:]), *((store, 2) for store in record[1:3])]
        accesses += [(address >> 12, kind) for address, kind in order if address]
    return accesses


def naive_csv(text: str) -> list[Access]:
    """Read a page list the obvious way."""
    header, *lines = (line.split(",") for line in text.splitlines())
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    return [(int(row["page"], 0), "frw".index(row.get("rw", "r"))) for row in rows]
