"""Files: on disks that the host has, named as workloads name them; and who can have any: rows of `machine.REFUSED`."""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.checks.each_vm import each_vm
from vmcfg.scenario.checks.names import unknown_name
from vmcfg.scenario.checks.paging import LATER
from vmcfg.scenario.checks.refusal import Refusal
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import FILE_EVENTS, Instance, regions
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import PAGE_BYTES, format_size


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks each VM's files, then what its workload does with them."""
    for name, workload in settings.get("workloads", {}).items():
        with suppress(Broken):
            _one_region_each(findings, name, workload)
    each_vm(findings, settings, picked, _disks, _regions, _events)
    with suppress(Broken):
        if "page_cache" in settings["tables"] and not any(vm["files"] for vm in settings["vms"].values()):
            place: Path = ("tables", settings["tables"].index("page_cache"))
            findings.add(place, "contradiction", "found page_cache, expected a VM with files",
                         "for instance files: {data: {size: 64MiB}}")


def _one_region_each(findings: Findings, name: str, workload: Settings) -> None:
    """A page of a file has one address in all processes: so its mappings are found again."""
    first: dict[str, Path] = {}
    for region in regions(name, workload):
        path: Path = (*region.path[:-1], "file")
        if region.file and first.setdefault(region.file, path) != path:
            findings.add(path, "refused", f"found '{region.file}', expected a file that no other region maps",
                         f"files that several regions map are not built yet {LATER}",
                         [(first[region.file], "the first one is here")])


def _disks(findings: Findings, settings: Settings, vm: Instance) -> None:
    disks = settings["hosts"][vm.settings["host"]]["disks"]
    for name, file in vm.settings["files"].items():
        if file["disk"] is not None and file["disk"] not in disks:
            unknown_name(findings, (*vm.path, "files", name, "disk"), "disk", file["disk"], disks)


def _regions(findings: Findings, settings: Settings, vm: Instance) -> None:
    workload = vm.settings["workload"]
    mapped = [region for region in regions(workload, settings["workloads"][workload]) if region.file]
    for region in mapped:
        if _is_known(findings, vm, (*region.path[:-1], "file"), region.file):
            _fits(findings, vm, region.path, region.file, region.pages)
    if mapped and vm.settings["populate"] == "at_start":
        findings.add((*vm.path, "populate"), "refused", "found at_start, expected on_touch",
                     f"mapping files before the run is not built yet {LATER}",
                     [((*mapped[0].path[:-1], "file"), "the workload maps a file here")])


def _events(findings: Findings, settings: Settings, vm: Instance) -> None:
    workload = vm.settings["workload"]
    for index, phase in enumerate(settings["workloads"][workload]["phases"]):
        for number, event in enumerate(phase["events"]):
            path: Path = ("workloads", workload, "phases", index, "events", number)
            if event["kind"] in FILE_EVENTS and _is_known(findings, vm, (*path, "file"), event["file"]):
                _fits(findings, vm, (*path, "pages"), event["file"], event["pages"])


def _is_known(findings: Findings, vm: Instance, path: Path, name: str) -> bool:
    if name in vm.settings["files"]:
        return True
    unknown_name(findings, path, f"file of VM '{vm.declared}'", name, vm.settings["files"])
    return False


def _fits(findings: Findings, vm: Instance, path: Path, name: str, pages: int) -> None:
    size = vm.settings["files"][name]["size"]
    if pages > size:
        found = format_size(pages * PAGE_BYTES) if path[-1] == "size" else str(pages)
        expected = format_size(size * PAGE_BYTES) if path[-1] == "size" else str(size)
        findings.add(path, "too-large", f"found {found}, expected at most the file's {expected}",
                     also=[((*vm.path, "files", name, "size"), f"'{name}' is declared here")])


REFUSED = (
    Refusal(
        "files in other modes", "vms", ("files",), ("mmu", "mode"),
        lambda host, vm: bool(vm["files"]) and host["mmu"]["mode"] in ("paravirt", "software_tlb"),
        "no files but in modes native, nested and shadow", f"they are not built yet for this mode {LATER}",
    ),
    Refusal(
        "files in large pages", "vms", ("files",), (),
        lambda _, vm: bool(vm["files"]) and vm["page_size"] != "4KiB",
        "page_size 4KiB beside files", f"page caches beside large pages are not built yet {LATER}",
    ),
    Refusal(
        "files in other tables", "vms", ("files",), (),
        lambda _, vm: bool(vm["files"]) and vm["page_table"] in ("none", "2_level"),
        "a page table of 4 or 5 levels or pae beside files",
        f"without paging nothing is mapped, and two wide levels are not built yet {LATER}",
    ),
)  # fmt: skip
