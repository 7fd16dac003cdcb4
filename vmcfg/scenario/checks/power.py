"""Power-off and reboot: who can be switched off, and which guests can begin anew."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.scenario.checks.each_vm import each_vm
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import Instance, reads_kernel
from vmcfg.scenario.settings import Settings

LATER = "in this version of vmcfg"


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks the VMs whose workloads have such events, each for the first of a kind."""
    each_vm(findings, settings, picked, _vm)


def _vm(findings: Findings, settings: Settings, vm: Instance) -> None:
    name = vm.settings["workload"]
    for path, kind in _events(name, settings["workloads"][name]):
        _event(findings, settings, vm, path, kind)


def _events(name: str, workload: Settings) -> Iterator[tuple[Path, str]]:
    """The first event of each of the two kinds, with its path."""
    seen = set()
    for index, phase in enumerate(workload["phases"]):
        for number, event in enumerate(phase["events"]):
            kind = event["kind"]
            if kind in ("power_off", "reboot") and kind not in seen:
                seen.add(kind)
                yield ("workloads", name, "phases", index, "events", number, "kind"), kind


def _event(findings: Findings, settings: Settings, vm: Instance, path: Path, kind: str) -> None:
    mmu = settings["hosts"][vm.settings["host"]]["mmu"]
    at: Path = ("hosts", vm.settings["host"], "mmu")
    if mmu["mode"] not in ("nested", "shadow"):
        findings.add(path, "refused", f"found {kind}, expected mode nested or shadow, not {mmu['mode']}",
                     f"elsewhere no host takes memory back, or it is not built yet for this mode {LATER}",
                     [((*at, "mode"), "the mode is here")])
    elif kind == "reboot":
        _reboot(findings, settings, vm, path)


def _reboot(findings: Findings, settings: Settings, vm: Instance, path: Path) -> None:
    """What a guest does at its boot must be possible in the middle of a run."""
    mmu = settings["hosts"][vm.settings["host"]]["mmu"]
    boot = vm.settings["boot"]
    if boot and boot["zeroes"]:
        findings.add(path, "refused", "found reboot, expected a guest that does not zero its memory at boot",
                     f"a boot that zeroes is built for the beginning of a run only {LATER}",
                     [((*vm.path, "boot"), "its boot is here")])
    if reads_kernel(settings["workloads"][vm.settings["workload"]]):
        findings.add(path, "refused", "found reboot, expected no system calls with kernel_pages",
                     f"page tables of the kernel's memory are made at the beginning of a run only {LATER}")
    if mmu["page_size"] != mmu["table_page_size"]:
        findings.add(path, "refused", "found reboot, expected page_size and table_page_size of the host to be the same",
                     f"tables that lie apart are not laid out anew yet {LATER}",
                     [(("hosts", vm.settings["host"], "mmu", "table_page_size"), "the sizes are here")])
