"""Table `devices`: what each host's disks were asked for, over the whole run."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.metrics.result import DiskResult, RunResult
from vmcfg.tables.column import Column, Ratio, count, ratio, text
from vmcfg.tables.subjects import NAME_WIDTH
from vmcfg.tables.table import TableKind


def _counted(name: str, unit: str, definition: str) -> Column:
    return count(name, unit, definition, lambda disk: disk.counters[name])


def _disks(result: RunResult) -> Iterator[DiskResult]:
    return (disk for host in result.hosts for disk in host.disks)


DEVICES = TableKind(
    "devices",
    "What the hosts' disks were asked for, over the whole run.",
    (
        text("host", "The host's name.", lambda disk: disk.host, NAME_WIDTH, is_key=True),
        text("disk", "The disk's name.", lambda disk: disk.name, NAME_WIDTH, is_key=True),
        _counted("reads", "requests", "Requests to read."),
        _counted("writes", "requests", "Requests to write."),
        _counted("pages_read", "pages", "Pages read."),
        _counted("pages_written", "pages", "Pages written."),
        _counted("seeks", "requests", "Requests that did not begin where the last one ended."),
        _counted("busy_cycles", "cycles", "Cycles in which the disk sought or moved bytes."),
        ratio("queued_cycles_each", "cycles", 0, "Cycles that a request waited for those before it.",
              lambda disk: Ratio(disk.counters["queued_cycles"], disk.counters["reads"] + disk.counters["writes"])),
    ),
    _disks,
)  # fmt: skip
