"""What a workload is, from settings to the Scenario: regions, phases, patterns, traces and events."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from vmcfg.scenario import spec
from vmcfg.scenario.build_mmu import every
from vmcfg.scenario.layout import EPOCHS, PAGE_FLUSH, drawing, event_region, process_slots, regions
from vmcfg.scenario.settings import Settings


def workload(name: str, given: Settings, directory: Path) -> spec.Workload:
    """Make a workload of its settings; its traces are beside the scenario, in `directory`."""
    placed = regions(name, given)
    names = [region.name for region in placed]
    return spec.Workload(
        name=name,
        regions=tuple(spec.Region(each.name, each.base_vpn, each.pages, each.file, each.is_shared) for each in placed),
        phases=tuple(_phase(index, phase, names, directory) for index, phase in enumerate(given["phases"])),
        processes=given["processes"],
        max_processes=process_slots(given),
    )


def _phase(index: int, given: Settings, names: list[str], directory: Path) -> spec.Phase:
    pattern, trace = given["pattern"], given["trace"]
    return spec.Phase(
        pattern=_pattern(index, pattern, names) if pattern else None,
        trace=_trace(trace, directory) if trace else None,
        rate=None if given["rate"] == "back_to_back" else spec.Rate(*given["rate"]),
        write_ppm=given["write"],
        accesses_per_touch=given["accesses_per_touch"],
        accesses=given["accesses"],
        duration_ns=given["duration"],
        events=tuple(_event(index, event, given, names) for event in given["events"]),
    )


def _event(index: int, given: Settings, phase: Settings, names: list[str]) -> spec.GuestEvent:
    """An event of the phase at `index`."""
    region = event_region(index, given, phase)
    touches, rate = every(given["every"])
    if given["rate"]:
        rate = spec.Rate(*given["rate"])
    return spec.GuestEvent(
        kind=given["kind"],
        every_touches=(given["count"] and phase["accesses"]) or touches,
        every_divisor=0 if rate else given["count"] or 1,
        region=-1 if region is None else names.index(region),
        pages=given.get("pages", int(given.get("what") == PAGE_FLUSH)),
        ranges=given.get("ranges", 0),
        max_absent=given.get("max_absent", 0),
        kernel_pages=given.get("kernel_pages", 0),
        to=given.get("to", ""),
        what=given.get("what", ""),
        of_next=given.get("whose") == "next",
        file=given.get("file", ""),
        rate=rate,
    )


def _pattern(index: int, given: Settings, names: list[str]) -> spec.Pattern:
    """The pattern of the phase at `index`; `names` are those of the workload's regions."""
    drawn = [
        _drawn(each, names.index(each["region"] or own)) for _, own, each in drawing(index, given)
    ]
    if given["kind"] != "mixture":
        return drawn[0]
    weights = [part["weight"] for part in given["parts"]]
    parts = tuple(spec.Part(weight, pattern) for weight, pattern in zip(weights, drawn, strict=True))
    return spec.Mixture("mixture", -1, parts=parts)


def _drawn(given: Settings, region: int) -> spec.Pattern:
    kind = given["kind"]
    if kind == "zipf":
        is_uniform = given["alpha"] == "0"
        zipf = spec.Pattern(kind, region, given["order"], alpha=given["alpha"])
        return spec.Pattern("uniform", region) if is_uniform else zipf
    if kind == "hot_cold":
        return spec.Pattern(kind, region, given["order"], hot_pages=given["hot"], hot_share_ppm=given["hot_share"])
    if kind == "stride":
        return spec.Stride(kind, region, given["order"], stride_bytes=given["stride"])
    return spec.Pattern(kind, region)


def _trace(given: Settings, directory: Path) -> spec.Trace:
    vpn = given["vpn"]
    return spec.Trace(
        file=given["file"],
        path=beside(directory, given["file"]),
        format=given["format"],
        vpn_file=vpn or "",
        vpn_path=beside(directory, vpn) if vpn else None,
        repeat=None if given["repeat"] == "forever" else given["repeat"],
        epoch_ns=given["epoch_time"] if given["format"] == EPOCHS else 0,
    )


def beside(directory: Path, file: str) -> Path:
    """A path of a scenario, which is POSIX and relative to its file."""
    return directory / PurePosixPath(file)
