"""Table `exits`: why the VMM got control; every reason of the mode has its row, also one that never came."""

from __future__ import annotations

from vmcfg.tables.column import count, text
from vmcfg.tables.subjects import PHASE, VM, exit_rows
from vmcfg.tables.table import TableKind

REASON_WIDTH = 20

EXITS = TableKind(
    "exits",
    "Why the VMM got control, and what that cost.",
    (
        VM,
        PHASE,
        text("reason", "Why the VM left guest mode.", lambda row: row.reason, REASON_WIDTH, is_key=True),
        count("count", "exits", "Exits for this reason.", lambda row: row.count),
        count("cycles", "cycles", "Cycles of these exits, round trip and handling.", lambda row: row.cycles),
    ),
    exit_rows,
)
