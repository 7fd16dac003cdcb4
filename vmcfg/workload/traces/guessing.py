"""The format of a trace file that nobody has named: by the file's name, else by how its text begins.

Records of different formats cannot be told apart by their bytes, so a binary file needs a telling name.
"""

from __future__ import annotations

import re
from pathlib import Path

from vmcfg.scenario.trace_files import MAGIC_TO_COMPRESSION
from vmcfg.workload.traces.source import Source

SUFFIX_TO_FORMAT = {
    ".lackey": "lackey",
    ".u32": "records",
    ".oraclegeneral": "oracle_general",
    ".champsimtrace": "champsim",
    ".champsim": "champsim",
    ".u64": "u64",
    ".csv": "csv",
    ".gpa": "guest_physical",
}
HEAD_BYTES = 1 << 16

_LACKEY = re.compile(rb"(==[^\n]*\r?\n|\r?\n)*(==|I  [0-9a-f]+,[0-9]| [LSM] [0-9a-f]+,[0-9])", re.IGNORECASE)
_CSV = re.compile(rb"(\xef\xbb\xbf)?([^,\r\n]*,)*page(,[^,\r\n]*)*\r?\n")


def guess(file: str, path: Path) -> tuple[str, str] | None:
    """Return (format, what tells it), or None. Raises TraceError when the file cannot be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    for suffix in reversed(suffixes):
        if suffix in SUFFIX_TO_FORMAT:
            return SUFFIX_TO_FORMAT[suffix], "by its name"
        if suffix.removeprefix(".") not in (*MAGIC_TO_COMPRESSION.values(), "bin"):
            break
    head = next(Source(file, path).blocks(1), b"")[:HEAD_BYTES]
    if _LACKEY.match(head):
        return "lackey", "by how it begins"
    return ("csv", "by how it begins") if _CSV.match(head) else None
