"""Table `kills`: processes that guests ended because they had run out of memory, one by one."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vmcfg.metrics.result import Kill, RunResult, VmResult
from vmcfg.tables.column import COUNT, Column, Ratio, count, ratio, text
from vmcfg.tables.subjects import VM
from vmcfg.tables.table import TableKind

NANOSECONDS = 1_000_000_000


@frozen
class KillRow:
    """One kill, the n-th of its VM, from 1."""

    vm: VmResult
    number: int
    kill: Kill


def _rows(result: RunResult) -> Iterator[KillRow]:
    return (KillRow(vm, number, kill) for vm in result.vms for number, kill in enumerate(vm.kills, 1))


KILLS = TableKind(
    "kills",
    "Processes that guests ended because they had run out of memory.",
    (
        VM,
        Column("kill", COUNT, "", 4, "Its number among those of the VM.", lambda row: row.number, is_key=True),
        ratio("time_ns", "ns", 0, "When it happened.", lambda row: Ratio(row.kill.cycles * NANOSECONDS, row.vm.hz)),
        count("process", "process", "Which of the guest's processes, from 1.", lambda row: row.kill.process),
        count("freed_pages", "pages", "Guest pages that came free, tables included.", lambda row: row.kill.freed_pages),
        text("asked_by", "Whose allocation there was no page for: workload or balloon.",
             lambda row: row.kill.asked_by, 8),
    ),
    _rows,
)  # fmt: skip
