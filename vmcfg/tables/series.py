"""Table `series`: each VM over time, sampled at the interval `run.sample`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from attrs import frozen

from vmcfg.metrics.events import Event
from vmcfg.metrics.result import RunResult, Sample, VmResult
from vmcfg.tables.column import COUNT, COUNT_WIDTH, Column, count
from vmcfg.tables.subjects import VM
from vmcfg.tables.table import TableKind

NANOSECONDS = 1_000_000_000
NOTHING_YET: dict[str, int] = {}


@frozen
class Interval:
    """What lies between two samples of a VM; the first one begins with the run."""

    vm: VmResult
    before: Sample | None
    sample: Sample

    @property
    def time_ns(self) -> int:
        return (self.sample.cycles * NANOSECONDS + self.vm.hz // 2) // self.vm.hz

    def counted(self, event: Event) -> int:
        """Return how often something happened in the interval."""
        before = self.before.counters if self.before else NOTHING_YET
        return self.sample.counters[event.name.lower()] - before.get(event.name.lower(), 0)


def _pages(name: str, key: str, definition: str) -> Column:
    return count(name, "pages", definition, lambda row: row.sample.pages[key])


def _during(event: Event, unit: str, definition: str) -> Column:
    return count(event.name.lower(), unit, definition, lambda row: row.counted(event))


def _intervals(result: RunResult) -> Iterator[Interval]:
    for vm in result.vms:
        for before, sample in pairwise((None, *vm.samples)):
            assert sample
            yield Interval(vm, before, sample)


SERIES = TableKind(
    "series",
    "Each VM over time: what it held at each sample, and what happened since the one before.",
    (
        VM,
        Column("time_ns", COUNT, "ns", COUNT_WIDTH, "Simulated time of the sample.", lambda row: row.time_ns,
               is_key=True),
        count("host_free", "frames", "Frames that nobody used on its host.", lambda row: row.sample.host_free),
        _pages("private_pages", "private", "Guest pages with a machine frame of their own."),
        _pages("ballooned_pages", "ballooned", "Guest pages given to the host."),
        _pages("swapped_pages", "swapped", "Guest pages in the host's swap area."),
        _pages("guest_swapped_pages", "guest_swapped", "Pages in the guest's own swap area."),
        _pages("guest_free_pages", "guest_free", "Guest pages on the guest's own free list."),
        _during(Event.ACCESSES, "accesses", "Accesses retired since the last sample."),
        _during(Event.GUEST_FAULTS, "faults", "Page faults that the guest's own kernel handled since."),
        _during(Event.MAJOR_FAULTS, "faults", "Of these: faults that waited for the guest's own disk."),
        _during(Event.HOST_PAGE_INS, "pages", "Guest pages that the host paged in since."),
        _during(Event.HOST_PAGE_OUTS, "pages", "Guest pages that the host paged out since."),
        _during(Event.GUEST_PAGE_INS, "pages", "Pages that the guest read from its own swap area since."),
        _during(Event.GUEST_PAGE_OUTS, "pages", "Pages that the guest wrote there since."),
        _during(Event.DOUBLE_PAGE_OUTS, "pages", "Of the pages written: those that the host had paged out before."),
        _during(Event.BLOCKED_CYCLES, "cycles", "Waiting for disks, since."),
    ),
    _intervals,
)  # fmt: skip
