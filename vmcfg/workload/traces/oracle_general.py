"""libCacheSim's oracleGeneral: packed records of 24 bytes, one for each request, each a load.

An object is taken as a page, and its id as the page's number. The time, the object's size and the next access are
not read: caches of pages know none, and whoever needs the next access computes it.
Source: libCacheSim, trace format oracleGeneral. The variant of 27 bytes and the form with a header (lcs) are others.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.workload.traces.source import Source

LOAD = 1
RECORD = np.dtype([("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next_access", "<i8")])


def accesses(source: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pages int64, kinds uint8) of the requests in order."""
    done = 0
    for block in source.blocks(RECORD.itemsize):
        pages = source.check_pages(np.frombuffer(block, RECORD)["object"], done)
        yield pages, np.full(len(pages), LOAD, np.uint8)
        done += len(pages)
