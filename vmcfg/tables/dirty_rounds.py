"""Table `dirty_rounds`: what each VM modified from one time that the VMM asked to the next."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vmcfg.metrics.result import DirtyRound, RunResult, VmResult
from vmcfg.tables.column import Ratio, count, ratio
from vmcfg.tables.subjects import VM
from vmcfg.tables.table import TableKind

NANOSECONDS = 1_000_000_000


@frozen
class RoundRow:
    """One round of one VM."""

    vm: VmResult
    number: int  # from 1
    found: DirtyRound


def _rounds(result: RunResult) -> Iterator[RoundRow]:
    return (RoundRow(vm, number, found) for vm in result.vms for number, found in enumerate(vm.rounds, 1))


DIRTY_ROUNDS = TableKind(
    "dirty_rounds",
    "Guest pages modified in each round of dirty logging, as a live migration would have to send them again.",
    (
        VM,
        count("round", "", "The round's number, from 1; the first begins with the run.", lambda row: row.number,
              is_key=True),
        ratio("ended_ns", "ns", 0, "Simulated time at which the VMM asked.",
              lambda row: Ratio(row.found.ended_cycles * NANOSECONDS, row.vm.hz)),
        count("dirty_pages", "pages", "Pages that were modified in the round.", lambda row: row.found.pages),
    ),
    _rounds,
)  # fmt: skip
