"""ChampSim's instruction traces: records of 64 bytes, one for each instruction.

An instruction is a fetch at its pointer, then loads from its source memory in order, then stores to its destination
memory. An address of zero stands for none. The format has no sizes, so every access stays in one page.
Source: ChampSim, inc/trace_instruction.h (`input_instr`). CloudSuite's records are longer, and another format.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vmcfg.workload.traces.source import Source

FETCH, LOAD, STORE = 0, 1, 2
PAGE_SHIFT = np.uint64(12)
KINDS = np.array([FETCH] + [LOAD] * 4 + [STORE] * 2, np.uint8)
RECORD = np.dtype(
    [
        ("pointer", "<u8"),
        ("is_branch", "u1"),
        ("branch_taken", "u1"),
        ("destination_registers", "u1", 2),
        ("source_registers", "u1", 4),
        ("destination_memory", "<u8", 2),
        ("source_memory", "<u8", 4),
    ]
)


def accesses(source: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (pages int64, kinds uint8) of the instructions in order."""
    done = 0
    for block in source.blocks(RECORD.itemsize):
        records = np.frombuffer(block, RECORD)
        addresses = np.column_stack([records["pointer"], records["source_memory"], records["destination_memory"]])
        is_used = addresses != 0
        # Checked with the unused ones among them, so that the place in the array still tells the record.
        pages = source.check_pages((addresses >> PAGE_SHIFT).ravel(), done, len(KINDS)).reshape(addresses.shape)
        yield pages[is_used], np.broadcast_to(KINDS, addresses.shape)[is_used]
        done += len(records)
