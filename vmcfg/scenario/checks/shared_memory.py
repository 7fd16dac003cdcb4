"""Shared memory: which VMs cannot have a region that all their processes share without a file."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.scenario.checks.each_vm import each_vm
from vmcfg.scenario.checks.paging import LATER
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import Instance, regions
from vmcfg.scenario.settings import Settings


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks each VM whose workload has such a region."""
    each_vm(findings, settings, picked, _vm)


def _vm(findings: Findings, settings: Settings, vm: Instance) -> None:
    workload = vm.settings["workload"]
    shared = [region for region in regions(workload, settings["workloads"][workload]) if region.is_shared]
    if shared:
        also: list[tuple[Path, str]] = [((*shared[0].path[:-1], "shared"), "the VM's workload has it here")]
        for path, found, expected, why in _refused(settings, vm):
            findings.add(path, "refused", f"found {found}, expected {expected} beside shared memory", why, also)


def _refused(settings: Settings, vm: Instance) -> Iterator[tuple[Path, str, str, str]]:
    """What stands in the way: where, what is there, what could be, and why."""
    host = vm.settings["host"]
    mode, table, size = settings["hosts"][host]["mmu"]["mode"], vm.settings["page_table"], vm.settings["page_size"]
    if mode in ("paravirt", "software_tlb"):
        yield (("hosts", host, "mmu", "mode"), mode, "native, nested or shadow",
               f"it is not built yet for this mode {LATER}")
    if table == "none":
        yield (*vm.path, "page_table"), table, "a page table", "without paging nothing is mapped"
    if size != "4KiB":
        yield ((*vm.path, "page_size"), size, "4KiB", f"large pages of shared memory are not built yet {LATER}")
