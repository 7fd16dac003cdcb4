"""Table `data_caches`: where page walks found the entries that they read. Hosts without data caches have no rows."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.metrics.events import Found
from vmcfg.metrics.result import RunResult
from vmcfg.tables.column import Column, Ratio, count, ratio
from vmcfg.tables.subjects import MODE, PHASE, VM, VmPhase, vm_phases
from vmcfg.tables.table import TableKind

REFS = "references"


def _modelled(result: RunResult) -> Iterator[VmPhase]:
    return (row for row in vm_phases(result) if Found.L1_REFS.name.lower() in row.phase.counters)


def _refs(row: VmPhase) -> int:
    return sum(row[where.name.lower()] for where in Found)


def _found(where: Found, definition: str) -> Column:
    key = where.name.lower()
    return count(key, REFS, definition, lambda row: row[key])


DATA_CACHES = TableKind(
    "data_caches",
    "Where page walks found the table entries that they read.",
    (
        VM,
        MODE,
        PHASE,
        count("refs", REFS, "References of all walks: walk_refs, fault_refs and dirty_refs of translation.", _refs),
        _found(Found.L1_REFS, "References found in the core's first-level data cache."),
        _found(Found.L2_REFS, "References that missed there and were found in the core's second level."),
        _found(Found.LLC_REFS, "References that missed there too and were found in the last level, which cores share."),
        _found(Found.MEMORY_REFS, "References that missed in all levels."),
        ratio("memory_share", "%", 2, "References that missed in all levels, of 100.",
              lambda row: Ratio(100 * row["memory_refs"], _refs(row))),
        ratio("cycles_per_ref", "cycles", 3, "Cycles of walks per reference, with what hits of walk caches cost.",
              lambda row: Ratio(row["walk_cycles"], _refs(row))),
    ),
    _modelled,
)  # fmt: skip
