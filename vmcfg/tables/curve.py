"""Table `curve`: how many of each VM's touches would miss in less memory, under LRU."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from vmcfg.metrics.result import RunResult, VmResult
from vmcfg.tables.column import COUNT, COUNT_WIDTH, Column, Ratio, count, ratio
from vmcfg.tables.subjects import VM
from vmcfg.tables.table import TableKind


@frozen
class Point:
    """One size of memory of one VM."""

    vm: VmResult
    pages: int
    misses: int
    touches: int


def _points(result: RunResult) -> Iterator[Point]:
    for vm in result.vms:
        if vm.curve:
            for pages, misses in vm.curve.points:
                yield Point(vm, pages, misses, vm.curve.touches)


CURVE = TableKind(
    "curve",
    "How many of each VM's touches, the warm-up's too, would miss in less memory, under exact LRU.",
    (
        VM,
        Column("memory_pages", COUNT, "pages", COUNT_WIDTH, "Size of a memory.", lambda row: row.pages, is_key=True),
        count("misses", "touches", "Touches of pages that such a memory would not hold.", lambda point: point.misses),
        ratio("miss_ratio", "misses/touch", 6, "Of all touches.", lambda point: Ratio(point.misses, point.touches)),
    ),
    _points,
)
