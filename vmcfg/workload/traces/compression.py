"""gz, xz and zst, told apart by content, through one loop that misses no truncation.

The file objects of the three libraries disagree about broken input: one ignores what follows a stream, another
ends in silence when the file does. So this uses their decompressor objects: each knows whether its stream has
ended and hands back what follows it. Streams may be concatenated, with zero bytes between them as padding.

Input goes in by small slices, because a kilobyte can stand for at most some 32 MiB of output (zst's blocks of one
repeated byte): a hostile file costs time, and never all memory at once.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import zstandard

SLICE_BYTES = 1024
XZ_MEMORY_BYTES = 160 << 20  # xz -9 needs 65 MiB; a header can ask for 4 GiB

DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gz": lambda: zlib.decompressobj(wbits=31),
    "xz": lambda: lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=XZ_MEMORY_BYTES),
    "zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}

Corrupt = (zlib.error, lzma.LZMAError, zstandard.ZstdError)


class BrokenStreamError(Exception):
    """Compressed data is corrupt or ends early; `offset` is the byte of the file near which that showed."""

    def __init__(self, offset: int, found: str) -> None:
        super().__init__(found)
        self.offset = offset
        self.found = found


def decompress(raw: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield the contents of `raw`, compressed as `name` says, in pieces; raise BrokenStreamError where it breaks."""
    stream = DECOMPRESSORS[name]()
    is_inside = False
    offset = 0
    for piece in _slices(raw):
        offset += len(piece)
        while piece := piece if is_inside else piece.lstrip(b"\0"):
            is_inside = True
            yield _fed(stream, piece, offset - len(piece))
            if not stream.eof:
                break
            piece, stream, is_inside = stream.unused_data, DECOMPRESSORS[name](), False
    if is_inside:
        raise BrokenStreamError(offset, f"the end of the file inside a {name} stream")


def _slices(raw: Iterable[bytes]) -> Iterator[bytes]:
    for piece in raw:
        for start in range(0, len(piece), SLICE_BYTES):
            yield piece[start : start + SLICE_BYTES]


def _fed(stream: Any, piece: bytes, offset: int) -> bytes:
    try:
        return bytes(stream.decompress(piece))
    except Corrupt as error:
        raise BrokenStreamError(offset, f"corrupt compressed data ({error})") from error
