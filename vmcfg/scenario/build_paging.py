"""What moves pages out of memory, from settings to the Scenario: disks, swap areas, who pages and how, balloons."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from vmcfg.scenario import spec
from vmcfg.scenario.settings import Settings


def with_disks(settings: Settings, host: spec.Host) -> spec.Host:
    """Give a host its disks, if anything lies on them."""
    own = [vm for vm in settings["vms"].values() if vm["host"] == host.name]
    is_used = host.swap or any(vm["swap"] or vm["files"] for vm in own)
    return evolve(host, disks=_disks(settings["hosts"][host.name]["disks"])) if is_used else host


def _disks(given: Settings) -> tuple[spec.Disk, ...]:
    return tuple(
        spec.Disk(name, disk["latency"], disk["bandwidth"], disk["seek"]) for name, disk in given.items()
    )


def swap_area(given: Settings | None, host: Settings) -> spec.Swap | None:
    """Return a swap area, its disk by its place among the host's."""
    return None if given is None else spec.Swap(given["size"], _disk_of(given, host))


def _files(given: Settings, host: Settings) -> tuple[spec.File, ...]:
    """Return a guest's files, each with its disk by its place among the host's."""
    return tuple(spec.File(name, file["size"], _disk_of(file, host)) for name, file in given["files"].items())


def _page_cache(given: Settings) -> spec.PageCache | None:
    """Return how a guest keeps pages of files, if it has any."""
    how = given["page_cache"]
    return spec.PageCache(how["read_ahead"], how["flush_every"], how["flush_after"]) if given["files"] else None


def _disk_of(given: Settings, host: Settings) -> int:
    return list(host["disks"]).index(given["disk"]) if given["disk"] else 0


def under_pressure(given: Settings, host: Settings) -> dict[str, Any]:
    """Return what a VM has that concerns its memory while it runs: who takes it away, and what happens without any."""
    return {
        "reclaim": _reclaim(given, host),
        "balloon": _balloon(given["balloon"], given["memory"]),
        "files": _files(given, host),
        "page_cache": _page_cache(given),
        "boot": _boot(given["boot"]),
        "free_page_reporting": _reporting(given["free_page_reporting"]),
        "zero_thread": given["zero_thread"] or 0,
        "oom": given["oom"],
        "compresses": _compresses(given["compresses"]),
    }


def host_paging(given: Settings | None, frames: int) -> spec.HostPaging | None:
    """Return how a host of so many frames pages, if it does."""
    if given is None:
        return None
    return spec.HostPaging(
        victim=given["victim"],
        batch_pages=given["batch"],
        cluster_slots=given["read_ahead"],
        has_preventer=given["preventer"],
        is_told=given["references"] == "every_access",
        has_mapper=given["mapper"],
        capacity_pages=given["capacity"] or 0,
        watermarks=_watermarks(given["watermarks"], frames),
    )


def _watermarks(given: Settings | None, frames: int) -> spec.Watermarks | None:
    """Return between which numbers of free frames a host pages ahead, if it does."""
    if given is None:
        return None
    start, stop = (frames * given[mark] // spec.MILLION for mark in ("start_below", "stop_above"))
    return spec.Watermarks(start, stop, given["every"])


def compression(given: Settings | None) -> spec.Compression | None:
    """Return how much a host's compression cache may hold, if it has one."""
    return spec.Compression(given["max"]) if given and given["max"] else None


def _compresses(given: Settings | None) -> spec.Compresses | None:
    """Return how well a VM's pages compress, if it says."""
    return spec.Compresses(given["quarter"], given["half"]) if given else None


def _balloon(given: Settings | None, memory_pages: int) -> spec.Balloon | None:
    """Return what a guest's balloon driver is asked for, by time."""
    if given is None:
        return None
    later = sorted(given["schedule"], key=lambda step: step["at"])
    target = given["target"] if given["keep"] is None else max(0, memory_pages - given["keep"])
    steps = [spec.BalloonStep(0, target), *(spec.BalloonStep(step["at"], step["target"]) for step in later)]
    return spec.Balloon(tuple(steps), given["poll"], memory_pages * given["max"] // spec.MILLION)


def _reporting(given: Settings | None) -> spec.FreePageReporting | None:
    return None if given is None else spec.FreePageReporting(given["every"], given["blocks"])


def _boot(given: Settings | None) -> spec.Boot | None:
    """Return what a guest does before its workload begins, if that is anything."""
    if given is None or not (given["duration"] or given["zeroes"]):
        return None
    return spec.Boot(given["duration"], given["zeroes"] or 0)


def _reclaim(given: Settings, host: Settings) -> spec.GuestReclaim | None:
    """Return how a guest frees its memory, if it has somewhere to page to, or files."""
    swap, how = swap_area(given["swap"], host), given["reclaim"]
    return spec.GuestReclaim(swap, how["victim"], how["keep_free"]) if swap or given["files"] else None
