"""What can be said about a trace file without reading it: it exists, can be read, and starts and measures right.

`validate` calls this for every trace, so it imports nothing beyond the standard library and reads a few bytes.
The contents are checked when a run reads them, with the number of the record or line that is wrong.
"""

from __future__ import annotations

import stat
from pathlib import Path

MAGIC_TO_COMPRESSION = {
    b"\x1f\x8b": "gz",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zst",
}

MAGIC_TO_REFUSED = {
    b"PK\x03\x04": "a zip archive",
    b"BZh91AY&SY": "bzip2 data",
    b"\x04\x22\x4d\x18": "lz4 data",
}

RECORD_BYTES = {
    "records": 4,
    "vpn": 8,
    "u64": 8,
    "oracle_general": 24,
    "champsim": 64,
    "guest_physical": 4,
}
"""Length of a record of each binary format; `vpn` is the file of page numbers that goes with `records`."""

HEAD_BYTES = 16


def faults(path: Path, fmt: str) -> str | None:
    """Return what is wrong with the file at `path` as a trace of format `fmt`, in one sentence; None if nothing is.

    `fmt` is a trace format's name, or `vpn` for the companion file of `records`.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return f"found {_kind_of(status.st_mode)}, expected a regular file"
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        return f"{_why_unreadable(path, error)}, expected a file that can be read"
    return _wrong_head(head, path.suffix) or _wrong_length(head, status.st_size, fmt)


def compression(head: bytes) -> str | None:
    """Return `gz`, `xz` or `zst` when a file that starts with `head` is compressed so, None when it is plain."""
    return next((name for magic, name in MAGIC_TO_COMPRESSION.items() if head.startswith(magic)), None)


def _kind_of(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or socket"


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "found a link to a file that does not exist" if path.is_symlink() else "found no such file"
    if isinstance(error, PermissionError):
        return "found a file that may not be read"
    return f"found a name or file that cannot be read ({getattr(error, 'strerror', error)})"


def _wrong_head(head: bytes, suffix: str) -> str | None:
    if not head:
        return "found an empty file, expected at least one record"
    for magic, what in MAGIC_TO_REFUSED.items():
        if head.startswith(magic):
            return f"found {what}, expected plain, gz, xz or zst"
    named = suffix.removeprefix(".")
    found = compression(head)
    if named in MAGIC_TO_COMPRESSION.values() and found != named:
        return f"found {found or 'plain'} contents (first bytes {head[:6].hex(' ')}), expected {named} as the name says"
    return None


def _wrong_length(head: bytes, length: int, fmt: str) -> str | None:
    record = RECORD_BYTES.get(fmt)
    if record is None or compression(head) or length % record == 0:
        return None
    return f"found {length} bytes, expected a multiple of {record}, the length of a record"
