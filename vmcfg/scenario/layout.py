"""Where a workload's regions lie in its address space, and how many VMs `count` makes.

Regions lie in written order from 0x400000, each at the next 1 GiB boundary after the one before unless it has a base;
a phase whose pattern has a size of its own adds a region named after the phase, behind the named ones. So does each
part of a mixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import frozen

from vmcfg.scenario.findings import Path
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import PAGE_BYTES

FIRST_VPN = 0x400000 // PAGE_BYTES
ALIGN_PAGES = (1 << 30) // PAGE_BYTES
TABLE_LEVELS = {"4_level": 4, "5_level": 5, "pae": 3, "2_level": 2, "flat": 1, "none": 0}
PAGE_TABLES_OF_32_BITS = ("pae", "2_level")
FILE_EVENTS = ("read_file", "write_file")  # those that concern pages of a file
PAGED_EVENTS = ("mmap", "munmap", "mprotect")  # those that concern pages of a region
REGION_EVENTS = (*PAGED_EVENTS, "collapse")
EPOCHS = "guest_physical"  # the format of traces that say what was accessed in each epoch
PAGE_FLUSH = "page"  # what an event of kind flush drops, if it concerns a region
END_VPN = (1 << 47) // PAGE_BYTES  # the user half of a 4-level address space
END_VPN_32 = (3 << 30) // PAGE_BYTES  # what Linux gives programs of a 32-bit one


@frozen
class Placed:
    """A region with its place; `path` is where its size is written."""

    name: str
    base_vpn: int
    pages: int
    path: Path
    file: str = ""  # whose pages it maps, or none
    is_shared: bool = False  # by all processes, without a file

    @property
    def end_vpn(self) -> int:
        return self.base_vpn + self.pages


@frozen
class Instance:
    """One VM; `path` is where it is written, which instances of one `count` share."""

    name: str
    declared: str
    path: Path
    settings: Settings


def regions(name: str, workload: Settings) -> list[Placed]:
    """Places the regions of a workload. Raises Broken if one of them is faulty."""
    placed: list[Placed] = []
    following = FIRST_VPN
    for region, pages, base, path, holder in _unplaced(name, workload):
        base_vpn = following if base is None else base // PAGE_BYTES
        placed.append(Placed(region, base_vpn, pages, path, *holder))
        following = -(-placed[-1].end_vpn // ALIGN_PAGES) * ALIGN_PAGES
    return placed


def drawing(index: int, pattern: Settings) -> Iterator[tuple[Path, str, Settings]]:
    """The patterns that pick pages in the phase at `index`: it alone, or the parts of a mixture.

    Each with its place in the phase, and the name of the region that it makes if it has a size of its own.
    """
    if pattern["kind"] != "mixture":
        yield ("pattern",), f"phase-{index + 1}", pattern
        return
    for number, part in enumerate(pattern["parts"]):
        yield ("pattern", "parts", number, "pattern"), f"phase-{index + 1}-part-{number + 1}", part["pattern"]


def event_region(index: int, event: Settings, phase: Settings) -> str | None:
    """The region that an event of the phase at `index` concerns: its own, else its pattern's; None if it has none."""
    if not concerns_region(event):
        return None
    if event["region"] is not None:
        return str(event["region"])
    pattern = phase["pattern"]
    if pattern is None or pattern["kind"] == "mixture":
        return None
    return str(pattern["region"] or f"phase-{index + 1}")


def concerns_region(event: Settings) -> bool:
    """Whether an event concerns pages of a region."""
    return event["kind"] in REGION_EVENTS or (event["kind"] == "flush" and event["what"] == PAGE_FLUSH)


def collapses(workload: Settings) -> bool:
    """Whether a phase puts large pages in place of small ones."""
    return any(event["kind"] == "collapse" for phase in workload["phases"] for event in phase["events"])


def has_large_pages(settings: Settings, vm: Settings) -> bool:
    """Whether a guest comes to map pages larger than 4 KiB."""
    return bool(vm["page_size"] != "4KiB" or collapses(settings["workloads"][vm["workload"]]))


def forks(workload: Settings) -> bool:
    """Whether a phase makes processes."""
    return any(event["kind"] == "fork" for phase in workload["phases"] for event in phase["events"])


def reads_kernel(workload: Settings) -> bool:
    """Whether the kernel's memory is accessed: it then needs page tables."""
    events = [event for phase in workload["phases"] for event in phase["events"]]
    return any(event["kind"] == "syscall" and event["kernel_pages"] for event in events)


def process_slots(workload: Settings) -> int:
    """How many processes there can be at once."""
    most: int | None = workload["max_processes"]
    return workload["processes"] + int(forks(workload)) if most is None else most


def instances(vms: Settings, picked: dict[str, str]) -> Iterator[Instance]:
    """All VMs in order of declaration, instances by number. VMs whose count is faulty are left out."""
    for name, settings in vms.items():
        if name not in picked and isinstance(settings, Settings):
            yield from _instances(name, settings, vms, picked)


def _instances(name: str, settings: Settings, vms: Settings, picked: dict[str, str]) -> Iterator[Instance]:
    try:
        count = settings["count"]
    except Broken:
        return
    if count == 1 and picked.get(f"{name}-1") != name:
        yield Instance(name, name, ("vms", name), settings)
        return
    for number in range(1, count + 1):
        instance = f"{name}-{number}"
        entry = instance if picked.get(instance) == name else name
        yield Instance(instance, name, ("vms", entry), vms[entry])


def _unplaced(name: str, workload: Settings) -> Iterator[tuple[str, int, int | None, Path, tuple[Any, ...]]]:
    for region, settings in workload["regions"].items():
        path: Path = ("workloads", name, "regions", region, "size")
        yield region, settings["size"], settings["base"], path, (settings["file"] or "", bool(settings["shared"]))
    for index, phase in enumerate(workload["phases"]):
        for place, own, pattern in drawing(index, phase["pattern"]) if phase["pattern"] is not None else ():
            if pattern["size"] is not None:
                yield own, pattern["size"], None, ("workloads", name, "phases", index, *place, "size"), ()
