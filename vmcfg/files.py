"""Writes files whole or not at all: each is made beside its place under a hidden name and then renamed into it.

A run that is killed at any moment leaves the old file, the new one, or none; never a part of one. Text is UTF-8 with
LF on every system, because files are compared byte by byte.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from vmcfg.errors import RunFailed


def write_text(path: Path, text: str) -> None:
    """Write one file, making its folder. Raises RunFailed with code `cannot_write`."""
    write_texts(path.parent, {path.name: text})


def write_texts(folder: Path, name_to_text: Mapping[str, str]) -> None:
    """Write several files into one folder; none is put in place before all have been written."""
    staged: list[tuple[str, Path]] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in name_to_text.items():
            staged.append((_stage(folder, name, text), folder / name))
        for temporary, path in staged:
            os.replace(temporary, path)
    except OSError as error:
        raise RunFailed("cannot_write", f"{error.filename or folder}: cannot be written: {_reason(error)}") from None
    finally:
        for temporary, _ in staged:
            with suppress(OSError):
                os.unlink(temporary)


def _stage(folder: Path, name: str, text: str) -> str:
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    return temporary


def _umask() -> int:
    """Read the process's mask, which can only be done by setting it: files for results, not for secrets."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
