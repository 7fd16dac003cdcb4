"""Addresses that a guest can use: what its page tables can map or, with paging off, what memory it has."""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.findings import Findings
from vmcfg.scenario.layout import Instance, Placed, instances, regions
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import PAGE_BYTES


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks the regions of each VM's workload; what no table of 48 bits can map is found with the workload."""
    with suppress(Broken):
        for vm in instances(settings["vms"], picked):
            with suppress(Broken):
                _vm(findings, settings, vm)


def _vm(findings: Findings, settings: Settings, vm: Instance) -> None:
    name = vm.settings["workload"]
    if vm.settings["page_table"] == "none":
        for region in regions(name, settings["workloads"][name]):
            _guest_physical(findings, vm, region)


def _guest_physical(findings: Findings, vm: Instance, region: Placed) -> None:
    """With paging off the pages of a region are the guest's own pages: memory that is there and not its kernel's."""
    kernel, memory = vm.settings["kernel_memory"], vm.settings["memory"]
    why = "without a page table the addresses of regions are guest-physical; base says where one begins"
    also = [((*vm.path, "page_table"), f"VM '{vm.declared}' with this workload has no page table")]
    if region.pages > memory:
        return  # reported as too large
    if region.end_vpn > memory:
        findings.add(region.path, "address", f"found an end at {region.end_vpn * PAGE_BYTES:#x}, expected at most the "
                     f"VM's {memory * PAGE_BYTES:#x}", why, also)
    elif region.base_vpn < kernel:
        findings.add(region.path, "address", f"found a beginning at {region.base_vpn * PAGE_BYTES:#x}, expected at "
                     f"least {kernel * PAGE_BYTES:#x}, behind the VM's kernel_memory", why, also)
