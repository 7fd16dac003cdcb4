"""Disks in cycles, swap areas laid on them, one behind the other, and the compression caches before them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import frozen

from vmcfg.scenario.spec import MILLION, Compression, Region, Swap, Vm


@frozen
class DiskPlan:
    """A disk of a host, in cycles."""

    name: str
    latency: int
    seek: int
    bandwidth: int  # bytes per second


@frozen
class AreaPlan:
    """A swap area: where it lies on its disk, and where what its slots hold lies in the host's arrays."""

    disk: int
    place: int
    first: int
    slots: int


@frozen
class FilePlan:
    """A file of a guest: where it lies on its disk, and where its pages lie in the host's arrays."""

    vm: int
    name: str
    disk: int
    place: int
    first: int
    pages: int


@frozen
class SharedPlan:
    """A guest's region of shared memory, a file without a disk: where its pages lie in the host's arrays."""

    vm: int
    region: str
    first: int
    pages: int


def area_plans(swaps: list[Swap | None]) -> Iterator[AreaPlan]:
    """Lay swap areas on their disks, one behind the other."""
    ends: dict[int, int] = {}
    first = 0
    for swap in swaps:
        slots, disk = (swap.pages, swap.disk) if swap else (0, 0)
        yield AreaPlan(disk, ends.get(disk, 0), first, slots)
        ends[disk] = ends.get(disk, 0) + slots
        first += slots


def file_plans(vms: list[Vm], areas: Iterable[AreaPlan]) -> Iterator[FilePlan]:
    """Lay files on their disks, behind the swap areas; between two files is a page in the arrays that is of none."""
    ends: dict[int, int] = {}
    for area in areas:
        ends[area.disk] = area.place + area.slots
    first = 0
    for number, vm in enumerate(vms):
        for file in vm.files:
            yield FilePlan(number, file.name, file.disk, ends.get(file.disk, 0), first, file.pages)
            ends[file.disk] = ends.get(file.disk, 0) + file.pages
            first += file.pages + 1


def pages_of(files: tuple[FilePlan, ...]) -> int:
    """Return how many pages files take in the host's arrays, with the one behind each."""
    return files[-1].first + files[-1].pages + 1 if files else 0


def shared_plans(regions: Iterable[tuple[Region, ...]], first: int) -> Iterator[SharedPlan]:
    """Number the pages of shared memory of all guests, of whose regions these are, from `first` on."""
    for number, own in enumerate(regions):
        for region in own:
            if region.is_shared:
                yield SharedPlan(number, region.name, first, region.pages)
                first += region.pages


def about(disk: DiskPlan) -> str:
    """Say what a disk is like."""
    return f"{disk.name}: {disk.bandwidth} bytes per s, latency {disk.latency} cycles, seek {disk.seek} cycles"


def cache_frames(compression: Compression | None, memory_pages: int) -> int:
    """Return how many frames the compression cache of a VM of a size may hold."""
    return memory_pages * compression.max_ppm // MILLION if compression else 0
