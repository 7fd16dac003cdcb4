"""Table `compression`: what hosts' compression caches did for their VMs, and what they took."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

from vmcfg.metrics.events import Event
from vmcfg.metrics.result import RunResult, VmResult
from vmcfg.tables.column import Column, Ratio, count, ratio
from vmcfg.tables.subjects import VM
from vmcfg.tables.table import TableKind

QUARTERS = 4  # of a frame


@frozen
class Cache:
    """The cache of a VM, over the whole run without its warm-up."""

    vm: VmResult

    def __getitem__(self, event: Event) -> int:
        return sum(phase.counters[event.name.lower()] for phase in self.vm.phases[1:])


def _caches(result: RunResult) -> Iterator[Cache]:
    return (Cache(vm) for vm in result.vms if "compressed" in vm.pages)


def _event(which: Event, definition: str) -> Column:
    return count(which.name.lower(), "pages", definition, lambda cache: cache[which])


def _held(name: str, unit: str, key: str, definition: str) -> Column:
    return count(name, unit, definition, lambda cache: cache.vm.pages[key])


def _share(name: str, definition: str, of: Callable[[Cache], tuple[int, int]]) -> Column:
    return ratio(name, "share", 3, definition, lambda cache: Ratio(*of(cache)))


COMPRESSION = TableKind(
    "compression",
    "What the hosts' compression caches did for their VMs, and what they took.",
    (
        VM,
        _event(Event.COMPRESSIONS, "Pages put into the cache in place of being paged out."),
        _event(Event.COMPRESS_REJECTED, "Pages compressed in vain, and paged out: too large, or nothing gave way."),
        _event(Event.DECOMPRESSIONS, "Pages taken out of the cache because they were needed."),
        _event(Event.COMPRESSED_EVICTED, "Pages that left it for the disk, the oldest first."),
        _event(Event.COMPRESSED_DROPPED, "Pages in it that nobody wanted any more: ballooned, or overwritten."),
        _held("compressed_pages", "pages", "compressed", "Pages in it at the end of the run."),
        _held("cache_frames", "frames", "cache_frames", "Frames that it holds then."),
        _held("cache_limit", "frames", "cache_limit", "Frames that it may hold."),
        _share("frames_used", "Share of these frames that holds anything: the rest lies in pieces.",
               lambda cache: (cache.vm.pages["cache_quarters"], QUARTERS * cache.vm.pages["cache_frames"])),
        _share("hit_rate", "Of the pages that were out of memory and needed, those that were in the cache.",
               lambda cache: (cache[Event.DECOMPRESSIONS],
                              cache[Event.DECOMPRESSIONS] + cache[Event.HOST_PAGE_INS])),
    ),
    _caches,
)  # fmt: skip
