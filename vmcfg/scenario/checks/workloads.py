"""Workloads: regions that exist and do not overlap, phases that end, traces that can be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path as FilePath

from vmcfg.scenario import trace_files
from vmcfg.scenario.build_workload import beside
from vmcfg.scenario.checks.names import unknown_name
from vmcfg.scenario.document import find
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import END_VPN, EPOCHS, Placed, drawing, regions
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import PAGE_BYTES, format_size


def check(findings: Findings, settings: Settings, directory: FilePath) -> None:
    """Checks each workload, also one that no VM runs."""
    for name, workload in settings.get("workloads", {}).items():
        with suppress(Broken):
            _bases(findings, name, workload)
        with suppress(Broken):
            _overlaps(findings, name, workload)
        for index, phase in enumerate(workload.get("phases", ())):
            _phase(findings, name, workload, index, phase, directory)


def ends_by_itself(phase: Settings) -> bool:
    """Whether a phase ends before the run does."""
    trace = phase["trace"]
    is_finite_trace = trace is not None and trace["repeat"] != "forever"
    return phase["accesses"] is not None or phase["duration"] is not None or is_finite_trace


def _bases(findings: Findings, name: str, workload: Settings) -> None:
    for region, settings in workload["regions"].items():
        with suppress(Broken):
            base = settings["base"]
            if base is not None and base % PAGE_BYTES:
                below = base - base % PAGE_BYTES
                findings.add(("workloads", name, "regions", region, "base"), "alignment",
                             f"found {base:#x}, expected a multiple of 4KiB",
                             f"the nearest are {below:#x} and {below + PAGE_BYTES:#x}")


def _overlaps(findings: Findings, name: str, workload: Settings) -> None:
    placed = regions(name, workload)
    by_address = sorted(placed, key=lambda region: region.base_vpn)
    for lower, upper in pairwise(by_address):
        if lower.end_vpn > upper.base_vpn:
            later, earlier = (upper, lower) if placed.index(upper) > placed.index(lower) else (lower, upper)
            findings.add(_place(later), "overlap", f"found '{later.name}' at {_range(later)}, expected a free range",
                         also=[(_place(earlier), f"'{earlier.name}' is at {_range(earlier)}")], at_key=True)
    for region in placed:
        if region.end_vpn > END_VPN:
            findings.add(region.path, "address", f"found an end at {region.end_vpn * PAGE_BYTES:#x}, expected at most "
                         f"{END_VPN * PAGE_BYTES:#x}", "programs have the lower half of a 48-bit address space")


def _place(region: Placed) -> Path:
    """The mapping of a named region; the size of one that a pattern makes."""
    return region.path[:-1] if region.path[2] == "regions" else region.path


def _range(region: Placed) -> str:
    return f"{region.base_vpn * PAGE_BYTES:#x}–{region.end_vpn * PAGE_BYTES - 1:#x}"


def _phase(findings: Findings, name: str, workload: Settings, index: int, phase: Settings, directory: FilePath) -> None:
    path: Path = ("workloads", name, "phases", index)
    with suppress(Broken):
        _open_end(findings, path, workload, index, phase)
    with suppress(Broken):
        if phase["pattern"] is not None:
            for place, own, pattern in drawing(index, phase["pattern"]):
                with suppress(Broken):
                    _pattern(findings, (*path, *place), own, workload, pattern)
    with suppress(Broken):
        if phase["trace"] is not None:
            _trace(findings, path, phase, directory)


def _open_end(findings: Findings, path: Path, workload: Settings, index: int, phase: Settings) -> None:
    if index + 1 < len(workload["phases"]) and not ends_by_itself(phase):
        findings.add(path, "endless", f"found no end of phase {index + 1} of {len(workload['phases'])}, expected one",
                     "give it accesses or duration; only the last phase may run on")


def _pattern(findings: Findings, path: Path, own: str, workload: Settings, pattern: Settings) -> None:
    """A pattern picks from a region of the workload, or from one that it makes for itself."""
    named, region = workload["regions"], pattern["region"]
    if region is not None and region not in named:
        unknown_name(findings, (*path, "region"), "region of this workload", region, named)
    elif region is not None:
        _inside(findings, path, pattern, named[region]["size"], (*path[:2], "regions", region, "size"))
    else:
        _inside(findings, path, pattern, pattern["size"], (*path, "size"))
        if own in named:
            findings.add((*path[:2], "regions", own), "name-clash", f"found the region '{own}', expected another name",
                         "a phase makes a region of this name", [((*path, "size"), "it is made here")], at_key=True)


def _inside(findings: Findings, path: Path, pattern: Settings, pages: int, size_path: Path) -> None:
    """What a pattern measures in its region must be less than the region."""
    for kind, key, unit, why in (
        ("hot_cold", "hot", PAGE_BYTES, "a part of the region must stay cold"),
        ("stride", "stride", 1, "it wraps at the end of the region, so a longer one is a shorter one or none"),
    ):
        if pattern["kind"] == kind and pattern[key] * unit >= pages * PAGE_BYTES:
            message = f"found {format_size(pattern[key] * unit)}, expected less than the region's {_size(pages)}"
            findings.add((*path, key), "too-large", message, why, [(size_path, "the region's size is here")])


def _trace(findings: Findings, path: Path, phase: Settings, directory: FilePath) -> None:
    if find(findings.root, (*path, "write")) is not None:
        findings.add((*path, "write"), "contradiction", "found write beside a trace, expected it beside a pattern",
                     "a trace says itself which accesses store", at_key=True)
    trace, path = phase["trace"], (*path, "trace")
    if trace["format"] != EPOCHS and find(findings.root, (*path, "epoch_time")) is not None:
        findings.add((*path, "epoch_time"), "contradiction",
                     f"found epoch_time for a {trace['format']} trace, expected it for {EPOCHS}",
                     "only there are accesses told by epochs", at_key=True)
    if trace.get("vpn") is not None and trace["format"] != "records":
        findings.add((*path, "vpn"), "contradiction",
                     f"found vpn for a {trace['format']} trace, expected it for records",
                     "only records hold indexes that a vpn file maps to page numbers", at_key=True)
    for key, kind in _files(trace):
        fault = _file_fault(directory, trace[key], kind)
        if fault:
            findings.add((*path, key), "file", fault)


def _files(trace: Settings) -> Iterator[tuple[str, str]]:
    if "file" in trace:
        yield "file", trace.get("format", "lackey")
    if trace.get("vpn") is not None and trace.get("format") == "records":
        yield "vpn", "vpn"


def _file_fault(directory: FilePath, file: str, kind: str) -> str | None:
    if "\0" in file:
        return "found a zero byte in a file name, expected none"
    if "\\" in file:
        return "found a backslash in a file name, expected / between folders"
    return trace_files.faults(beside(directory, file), kind)


def _size(pages: int) -> str:
    return format_size(pages * PAGE_BYTES)
