"""Page lists: plain little-endian u64 page numbers, each a load."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.workload.traces.source import Source

LOAD = 1


def accesses(source: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pages int64, kinds uint8) of the page numbers in order."""
    done = 0
    for block in source.blocks(8):
        pages = source.check_pages(np.frombuffer(block, "<u8"), done)
        yield pages, np.full(len(pages), LOAD, np.uint8)
        done += len(pages)
