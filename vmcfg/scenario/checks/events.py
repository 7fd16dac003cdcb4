"""Guest events: what they concern must be there, and how often they happen must be known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from vmcfg.scenario.checks.each_vm import each_vm
from vmcfg.scenario.checks.names import unknown_name
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import (
    PAGE_FLUSH,
    PAGE_TABLES_OF_32_BITS,
    PAGED_EVENTS,
    Instance,
    Placed,
    concerns_region,
    event_region,
    forks,
    process_slots,
    regions,
)
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import PAGE_BYTES, format_size

OF_ONE_VCPU = ("fork", "exec", "exit", "reboot")
RANGE_PAGES = 512  # that become one large page


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks the events of each workload, then those of each VM that runs it."""
    for name, workload in settings.get("workloads", {}).items():
        with suppress(Broken):
            _processes(findings, name, workload)
        for path, phase, event in _events(name, workload):
            with suppress(Broken):
                _times(findings, path, phase, event)
            with suppress(Broken):
                _pages(findings, path, name, workload, phase, event)
            with suppress(Broken):
                _flush(findings, path, event)
            with suppress(Broken):
                _others(findings, path, workload, event)
    each_vm(findings, settings, picked, _vm)


def _events(name: str, workload: Settings) -> Iterator[tuple[Path, Settings, Settings]]:
    """Each event with its path and its phase."""
    for index, phase in enumerate(workload.get("phases", ())):
        for number, event in enumerate(phase.get("events", ())):
            yield ("workloads", name, "phases", index, "events", number), phase, event


def _processes(findings: Findings, name: str, workload: Settings) -> None:
    most, begin = workload["max_processes"], workload["processes"]
    path: Path = ("workloads", name)
    if most == begin and forks(workload):
        findings.add((*path, "max_processes"), "too-small", f"found {most}, expected more than the {begin} processes",
                     "phases fork", also=[((*path, "processes"), "there are so many from the start")])
    if most is not None and most < begin:
        findings.add((*path, "max_processes"), "too-small", f"found {most}, expected at least the {begin} processes",
                     also=[((*path, "processes"), "there are so many from the start")])


def _times(findings: Findings, path: Path, phase: Settings, event: Settings) -> None:
    """A count is spread over the phase's accesses, so there must be as many of these."""
    count, accesses = event["count"], phase["accesses"]
    if count is not None and accesses is None:
        findings.add((*path, "count"), "contradiction", "found count in a phase without accesses, expected every",
                     "a count is spread over the accesses of its phase", at_key=True)
    elif count is not None and count > accesses:
        findings.add((*path, "count"), "too-large", f"found {count}, expected at most the phase's {accesses} accesses",
                     also=[((*path[:4], "accesses"), "the phase's accesses are here")])


def _pages(
    findings: Findings, path: Path, name: str, workload: Settings, phase: Settings, event: Settings
) -> None:
    """An event that concerns pages must find them in a region."""
    if not concerns_region(event):
        return
    placed = {region.name: region for region in regions(name, workload)}
    region = event_region(int(str(path[3])), event, phase)
    if region is None:
        findings.add(path, "missing-key", "found no 'region', expected the name of a region of this workload",
                     "the phase has no region of its own", at_key=True)
    elif region not in placed:
        unknown_name(findings, (*path, "region"), "region of this workload", region, placed)
    elif event["kind"] == "collapse" and not _has_range(placed[region]):
        findings.add((*path, "kind"), "too-small", "found collapse, expected a region that holds an aligned 2MiB",
                     also=[(placed[region].path, f"'{region}' has none")])
    elif event["kind"] in PAGED_EVENTS and event["pages"] > placed[region].pages:
        size = format_size(placed[region].pages * PAGE_BYTES)
        findings.add((*path, "pages"), "too-large",
                     f"found {event['pages']}, expected at most the region's {placed[region].pages}",
                     also=[(placed[region].path, f"'{region}' has {size}")])


def _flush(findings: Findings, path: Path, event: Settings) -> None:
    """A flush of all processes concerns no region and no process, one of a process no region."""
    if event["kind"] != "flush":
        return
    if event["what"] != PAGE_FLUSH and event["region"] is not None:
        findings.add((*path, "region"), "contradiction", "found a region, expected none unless a page is flushed")
    if event["what"] not in (PAGE_FLUSH, "process") and event["whose"] == "next":
        findings.add((*path, "whose"), "contradiction", f"found next, expected none with {event['what']}",
                     "it is of all processes")


def _has_range(region: Placed) -> bool:
    return region.end_vpn // RANGE_PAGES > -(-region.base_vpn // RANGE_PAGES)


def _others(findings: Findings, path: Path, workload: Settings, event: Settings) -> None:
    """Other processes must be possible where one is switched to, or ends."""
    if event["kind"] == "context_switch" and process_slots(workload) == 1:
        findings.add((*path, "kind"), "contradiction", "found context_switch, expected processes to switch between",
                     "give the workload processes: 2 or more")
    if event["kind"] == "exit" and not forks(workload):
        findings.add((*path, "kind"), "contradiction", "found exit, expected a phase that forks",
                     "only a child ends, and no phase makes one")


def _vm(findings: Findings, settings: Settings, vm: Instance) -> None:
    """What a VM's workload does must be possible with its vCPUs and its kernel."""
    name = vm.settings["workload"]
    if vm.settings["page_table"] == "none":
        _one_quiet_process(findings, settings, vm)
    for path, _, event in _events(name, settings["workloads"][name]):
        with suppress(Broken):
            if event["kind"] in OF_ONE_VCPU and vm.settings["vcpus"] > 1:
                findings.add((*vm.path, "vcpus"), "contradiction",
                             f"found {vm.settings['vcpus']}, expected 1 for a workload with {event['kind']}",
                             "processes come and go on one vCPU only", [((*path, "kind"), "it is here")])
                return
            if event["kind"] == "flush" and _cannot_flush(findings, settings, vm, path, event["whose"]):
                return
            if event["kind"] == "collapse" and _cannot_collapse(findings, settings, vm, path):
                return
            if event["kind"] == "syscall" and event["kernel_pages"] and not vm.settings["kernel_memory"]:
                findings.add((*path, "kernel_pages"), "contradiction",
                             "found kernel pages, expected a VM with kernel memory",
                             also=[(vm.path, f"VM '{vm.declared}' has no kernel_memory")])
                return


def _cannot_collapse(findings: Findings, settings: Settings, vm: Instance, path: Path) -> bool:
    """Large pages of 2 MiB need a page table that can map them, and a mode that knows them."""
    mode = settings["hosts"][vm.settings["host"]]["mmu"]["mode"]
    if vm.settings["page_table"] == "2_level":
        findings.add((*path, "kind"), "refused", "found collapse, expected a page table of more levels",
                     "large pages of 4MiB are not built yet in this version of vmcfg",
                     [((*vm.path, "page_table"), "it has two here")])
        return True
    if mode not in ("native", "nested", "shadow"):
        findings.add((*path, "kind"), "refused", f"found collapse, expected mode native, nested or shadow, not {mode}",
                     "guest pages larger than 4KiB are not built yet in the other modes",
                     [(("hosts", vm.settings["host"], "mmu", "mode"), "the mode is here")])
        return True
    return False


def _cannot_flush(findings: Findings, settings: Settings, vm: Instance, path: Path, whose: str) -> bool:
    """INVPCID needs a processor that has it, a kernel of 64 bits, and a mode that leaves PCIDs to guests."""
    host = settings["hosts"][vm.settings["host"]]
    mode, features = host["mmu"]["mode"], host["cpu"]["features"]
    at: Path = ("hosts", vm.settings["host"])
    if mode not in ("native", "nested"):
        findings.add((*path, "kind"), "refused", f"found flush, expected mode native or nested, not {mode}",
                     "guests have no PCIDs in the other modes", [((*at, "mmu", "mode"), "the mode is here")])
    elif "invpcid" not in features:
        findings.add((*path, "kind"), "refused", "found flush, expected a processor with INVPCID",
                     f"this needs the feature invpcid, which {host['cpu']['profile']} lacks",
                     [((*at, "cpu", "profile"), "the processor is here")])
    elif whose == "next" and not host["mmu"]["pcid"]:
        findings.add((*path, "whose"), "refused", "found next, expected address spaces with tags",
                     "without PCIDs the core holds nothing of other processes", [((*at, "mmu"), "pcid is false here")])
    elif vm.settings["page_table"] in PAGE_TABLES_OF_32_BITS:
        findings.add((*path, "kind"), "refused", "found flush, expected a page table of 4 or 5 levels",
                     "there are no PCIDs outside 64-bit mode", [((*vm.path, "page_table"), "the table is here")])
    else:
        return False
    return True


def _one_quiet_process(findings: Findings, settings: Settings, vm: Instance) -> None:
    """A VM without paging has no address spaces: its workload has no events, and one process."""
    name = vm.settings["workload"]
    workload = settings["workloads"][name]
    events = [path for path, _, _ in _events(name, workload)]
    if events or workload["processes"] > 1:
        where = events[0] if events else ("workloads", name, "processes")
        findings.add((*vm.path, "page_table"), "refused", "found none, expected a page table",
                     "events and several processes need address spaces", [(where, "they are here")])
