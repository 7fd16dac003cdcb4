"""Addresses that a guest can use: what its page tables can map or, with paging off, what memory it has."""

from __future__ import annotations

from vmcfg.scenario.checks.each_vm import each_vm
from vmcfg.scenario.findings import Findings
from vmcfg.scenario.layout import END_VPN_32, PAGE_TABLES_OF_32_BITS, Instance, Placed, regions
from vmcfg.scenario.settings import Settings
from vmcfg.units import PAGE_BYTES, format_size

MOST_MEMORY = {"pae": (64 << 30) // PAGE_BYTES, "2_level": (4 << 30) // PAGE_BYTES}  # page numbers of 24 and 20 bits
PAGES_OF_A_TABLE = 1024  # of 32-bit entries
KERNEL_MEMORY = (1 << 30) // PAGE_BYTES


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks the regions of each VM's workload; what no table of 48 bits can map is found with the workload."""
    each_vm(findings, settings, picked, _vm)


def _vm(findings: Findings, settings: Settings, vm: Instance) -> None:
    name = vm.settings["workload"]
    if vm.settings["page_table"] in PAGE_TABLES_OF_32_BITS:
        _memory(findings, vm)
        _kernel_reads(findings, vm, settings["workloads"][name])
    for region in regions(name, settings["workloads"][name]):
        if vm.settings["page_table"] == "none":
            _guest_physical(findings, vm, region)
        elif vm.settings["page_table"] in PAGE_TABLES_OF_32_BITS and region.end_vpn > END_VPN_32:
            findings.add(region.path, "address", f"found an end at {region.end_vpn * PAGE_BYTES:#x}, expected at most "
                         f"{END_VPN_32 * PAGE_BYTES:#x}", "programs have the lower 3GiB of a 32-bit address space",
                         [((*vm.path, "page_table"), f"VM '{vm.declared}' with this workload has 32 bits")])


def _memory(findings: Findings, vm: Instance) -> None:
    """Page tables of 32 bits can name so much memory, and their kernel has a GiB of addresses."""
    most = MOST_MEMORY[vm.settings["page_table"]]
    also = [((*vm.path, "page_table"), "its page table is here")]
    for key, limit, why in (
        ("memory", most, "its entries have room for no more page numbers"),
        ("kernel_memory", KERNEL_MEMORY, "the kernel has the upper GiB of a 32-bit address space"),
    ):
        if vm.settings[key] > limit:
            findings.add((*vm.path, key), "too-large", f"found {_size(vm.settings[key])}, expected at most "
                         f"{_size(limit)} where page_table is {vm.settings['page_table']}", why, also)


def _kernel_reads(findings: Findings, vm: Instance, workload: Settings) -> None:
    """What system calls read of the kernel's memory has page tables below one entry of the root."""
    events = [event for phase in workload["phases"] for event in phase["events"]]
    reads = any(event["kind"] == "syscall" and event["kernel_pages"] for event in events)
    kernel = vm.settings["kernel_memory"]
    if vm.settings["page_table"] == "2_level" and reads and kernel > PAGES_OF_A_TABLE:
        findings.add((*vm.path, "kernel_memory"), "too-large", f"found {_size(kernel)}, expected at most "
                     f"{_size(PAGES_OF_A_TABLE)} where page_table is 2_level and system calls read it",
                     "one entry of the root leads to it in this version of vmcfg",
                     [((*vm.path, "page_table"), "its page table is here")])


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


def _size(pages: int) -> str:
    return format_size(pages * PAGE_BYTES)
