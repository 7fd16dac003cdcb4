"""Machine code for a generic processor: kept beside the usual one, so that it is compiled once for unchanged sources.

A folder of its own, as two processes that compile for two processors at once would overwrite each other's files.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcfg.jit.compiled import cache_directory


@pytest.fixture(scope="session")
def generic_kernels() -> Path:
    return cache_directory().parent / "generic"
