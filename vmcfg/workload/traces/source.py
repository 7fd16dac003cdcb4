"""A trace file as a stream of whole records or whole lines, decompressed and hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, field

from vmcfg.scenario import trace_files
from vmcfg.workload.traces.compression import BrokenStreamError, decompress
from vmcfg.workload.traces.fault import TraceError, bad_trace

BLOCK_BYTES = 1 << 20
LINE_BYTES = 1 << 16  # a longer line is no trace
VPN_BITS = 45  # five levels of nine bits: addresses of 57 bits


@define
class Source:
    """One trace file: `file` is its name in the scenario and in errors, `path` where it is.

    A source is read once, to its end. Only then `sha256` covers the whole file.
    """

    file: str
    path: Path
    _digest: Any = field(factory=hashlib.sha256)

    def blocks(self, record_bytes: int) -> Iterator[bytes]:
        """Yield the contents in blocks of whole records; the last record must be whole."""
        rest, done = b"", 0
        for piece in self._contents():
            block = rest + piece
            whole = len(block) - len(block) % record_bytes
            rest = block[whole:]
            done += whole
            if whole:
                yield block[:whole]
        if rest:
            found = f"{len(rest)} bytes at the end of the file"
            raise self.fault(self.record(done // record_bytes), found, f"a record of {record_bytes} bytes")

    def lines(self) -> Iterator[bytes]:
        """Yield the contents in blocks of whole lines; the last line must end too, or it may have been cut off."""
        rest, done = b"", 0
        for piece in self._contents():
            block = rest + piece
            whole = block.rfind(b"\n") + 1
            rest = block[whole:]
            done += block.count(b"\n")
            if len(rest) > LINE_BYTES:
                raise self.fault(f"line {done + 1}", f"{LINE_BYTES} bytes and more without a line end", "lines of text")
            if whole:
                yield block[:whole]
        if rest:
            raise self.fault(f"line {done + 1}", f"the end of the file inside the line {shown(rest)}", "a line end")

    def sha256(self, *more: Path) -> str:
        """Return the hexadecimal SHA-256 of the file as it is on disk, followed by the files `more`."""
        digest = self._digest.copy()
        for path in more:
            digest.update(path.read_bytes())
        return str(digest.hexdigest())

    def fault(self, where: str, found: str, expected: str) -> TraceError:
        """Return the error for this file at `where`."""
        return bad_trace(self.file, where, found, expected)

    def record(self, index: int) -> str:
        """Return how errors name the record at `index` (from 0): records are counted from 1."""
        return f"record {index + 1}"

    def check_pages(self, pages: np.ndarray, first_record: int, pages_per_record: int = 1) -> np.ndarray:
        """Return uint64 `pages` as int64 after checking that each is below 2^45; `first_record` numbers the first."""
        wrong = np.flatnonzero(pages >> np.uint64(VPN_BITS))
        if wrong.size:
            where = self.record(first_record + int(wrong[0]) // pages_per_record)
            raise self.fault(where, f"page {int(pages[wrong[0]]):#x}", f"a page below 2^{VPN_BITS}")
        return pages.astype(np.int64)

    def _contents(self) -> Iterator[bytes]:
        try:
            raw = self._raw()
            head = next(raw, b"")
            name = trace_files.compression(head)
            whole = chain((head,), raw)
            yield from _regular(decompress(whole, name) if name else whole)
        except BrokenStreamError as broken:
            raise self.fault(f"near byte {broken.offset}", broken.found, "a whole compressed file") from broken
        except OSError as error:
            raise self.fault("", f"a file that cannot be read ({error.strerror})", "a trace") from error

    def _raw(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(BLOCK_BYTES):
                self._digest.update(piece)
                yield piece


def shown(line: bytes) -> str:
    """Return a line of the file for an error text: quoted, harmless on a terminal, at most 60 characters."""
    text = ascii(line[:60].decode("latin-1"))
    return f"{text}…" if len(line) > 60 else text


def _regular(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in blocks of BLOCK_BYTES: neither thousands of crumbs nor one that fills the memory."""
    held: list[bytes] = []
    length = 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= BLOCK_BYTES:
            block = b"".join(held)
            whole = length - length % BLOCK_BYTES
            yield from (block[start : start + BLOCK_BYTES] for start in range(0, whole, BLOCK_BYTES))
            held, length = [block[whole:]], length - whole
    yield b"".join(held)
