"""Program-trace records: little-endian u32, `page << 2 | kind`, kind 0 fetch, 1 load, 2 store.

Consecutive accesses of the same page and kind may have been collapsed into one record: exact for TLB misses under
LRU. A companion file gives the virtual page number of each page index (u64, little-endian); without it pages are
virtual page numbers as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.workload.traces.source import Source

RECORD_BYTES = 4


def accesses(source: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pages int64, kinds uint8) of the records in order."""
    done = 0
    for block in source.blocks(RECORD_BYTES):
        words = np.frombuffer(block, "<u4")
        kinds = (words & 3).astype(np.uint8)
        wrong = np.flatnonzero(kinds == 3)
        if wrong.size:
            where = source.record(done + int(wrong[0]))
            raise source.fault(where, f"kind 3 in {int(words[wrong[0]]):#010x}", "0 fetch, 1 load or 2 store")
        yield (words >> 2).astype(np.int64), kinds
        done += len(words)


def page_numbers(source: Source) -> np.ndarray:
    """Return the companion file's virtual page numbers as int64, one for each page index."""
    parts: list[np.ndarray] = []
    done = 0
    for block in source.blocks(8):
        words = np.frombuffer(block, "<u8")
        parts.append(source.check_pages(words, done))
        done += len(words)
    if not parts:
        raise source.fault("", "no page numbers", "one for each page of the trace")
    return np.concatenate(parts)


def mapped(pages: np.ndarray, vpns: np.ndarray, source: Source, first_record: int) -> np.ndarray:
    """Return the virtual page number of each page index, which must lie inside `vpns`."""
    wrong = np.flatnonzero(pages >= len(vpns))
    if wrong.size:
        where = source.record(first_record + int(wrong[0]))
        raise source.fault(where, f"page index {pages[wrong[0]]}", f"one of the {len(vpns)} pages of the vpn file")
    return vpns[pages]
