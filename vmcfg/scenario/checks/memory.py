"""Memory that must fit: guests into hosts, workloads into guests.

Only what can be known before a run is an error here. A nested VM may be larger than its host, and VMs together
larger than all memory, as long as their pages get frames on touch: whether the frames suffice shows in the run.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise

from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import TABLE_LEVELS, Instance, Placed, instances, reads_kernel, regions
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import PAGE_BYTES, format_size, parse_size

ENTRIES = 512  # of one page of a page table


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks each VM by itself, then what all VMs of a host need before time 0."""
    with suppress(Broken):
        vms = list(instances(settings["vms"], picked))
        for vm in vms:
            with suppress(Broken):
                _kernel(findings, vm)
            with suppress(Broken):
                _workload(findings, settings, vm)
        for host in settings["hosts"]:
            with suppress(Broken):
                _host(findings, settings, host, [vm for vm in vms if vm.settings["host"] == host])


def table_pages(spans: Iterable[tuple[int, int]], levels: int, entries: int = ENTRIES) -> int:
    """Pages of a table, without its root, that maps disjoint spans of pages (first and last, both mapped)."""
    tables, spans = 0, sorted(spans)
    for _ in range(levels - 1):
        spans = [(first // entries, last // entries) for first, last in spans]
        tables += sum(last - first + 1 for first, last in spans)
        tables -= sum(before[1] == after[0] for before, after in pairwise(spans))  # one table serves both
    return tables


def pages_at_once(mmu: Settings) -> int:
    """The most pages that a host can back with one page of its own."""
    return max(parse_size(mmu[key]) for key in ("page_size", "table_page_size")) // PAGE_BYTES


def _kernel(findings: Findings, vm: Instance) -> None:
    kernel, memory = vm.settings["kernel_memory"], vm.settings["memory"]
    if kernel >= memory:
        findings.add((*vm.path, "kernel_memory"), "too-large", f"found {_size(kernel)}, expected less than the VM's "
                     f"{_size(memory)}", also=[((*vm.path, "memory"), "the VM's memory is here")])


def _workload(findings: Findings, settings: Settings, vm: Instance) -> None:
    """A region must fit into the guest; what is populated at start must fit together with its tables."""
    memory = vm.settings["memory"]
    also = [((*vm.path, "memory"), f"VM '{vm.declared}' with this workload has {_size(memory)}")]
    placed = regions(vm.settings["workload"], settings["workloads"][vm.settings["workload"]])
    swap = vm.settings["swap"]["size"] if vm.settings["swap"] else 0
    too_large = [region for region in placed if region.pages > memory + swap and not region.file]
    for region in too_large:
        whole = f"the VM's {_size(memory)}" + f" and its swap area of {_size(swap)}" * bool(swap)
        message = f"found {_size(region.pages)}, expected at most {whole}"
        findings.add(region.path, "too-large", message, also=also)
    need = guest_pages_at_start(vm.settings, settings["workloads"][vm.settings["workload"]], placed)
    if vm.settings["populate"] == "at_start" and need > memory and not too_large:
        findings.add((*vm.path, "memory"), "too-large", f"found {_size(memory)}, expected at least {_size(need)}",
                     "populate: at_start puts kernel, page tables and all regions of each process into it")


def guest_pages_at_start(vm: Settings, workload: Settings, placed: list[Placed]) -> int:
    """Guest pages in use before time 0: kernel with its tables, roots if there is paging, what is populated at start.

    Pages that only traces name are not known yet: the run looks for room for them before it begins.
    """
    kernel = int(vm["kernel_memory"])
    if vm["page_table"] == "none":
        return kernel
    levels, entries = TABLE_LEVELS[vm["page_table"]], 2 * ENTRIES if vm["page_table"] == "2_level" else ENTRIES
    if reads_kernel(workload):
        kernel += table_pages([(0, kernel - 1)], levels, entries)
    own = 1 + int(vm["kpti"])
    if vm["populate"] == "at_start":
        spans = [(region.base_vpn, region.end_vpn - 1) for region in placed]
        own += table_pages(spans, levels, entries) + _mapped_pages(vm, spans)
    shared = sum(region.pages for region in placed if region.is_shared) if vm["populate"] == "at_start" else 0
    return kernel + own * int(workload["processes"]) - shared * (int(workload["processes"]) - 1)


def _mapped_pages(vm: Settings, spans: list[tuple[int, int]]) -> int:
    """Pages of data, in whole pages of the size that the guest wants and can have."""
    sizes = [parse_size(vm["page_size"]) // PAGE_BYTES // ENTRIES**step for step in range(3)]
    block = next(size for size in (*sizes, 1) if 0 < size <= vm["memory"])
    blocks = {number for first, last in spans for number in (first // block, last // block)}
    between = sum(max(0, last // block - first // block - 1) for first, last in spans)
    return block * (len(blocks) + between)


def _host(findings: Findings, settings: Settings, name: str, vms: list[Instance]) -> None:
    host = settings["hosts"][name]
    mode, memory = host["mmu"]["mode"], host["memory"]
    levels = TABLE_LEVELS[host["mmu"]["host_table"]] if mode == "nested" else 0
    needs = [(vm, _frames_at_start(settings, vm, mode, levels)) for vm in vms]
    total = 0
    for vm, frames in needs:
        total += frames
        if total > memory:
            _too_small(findings, ("hosts", name, "memory"), memory, mode, sum(need for _, need in needs), vm)
            return


def _frames_at_start(settings: Settings, vm: Instance, mode: str, host_levels: int) -> int:
    """Machine frames that a VM takes before time 0, host tables included: a flat one stands whole from the start."""
    memory = int(vm.settings["memory"])
    if mode in ("native", "paravirt"):
        return memory
    if vm.settings["backing"] == "at_start":
        pages = memory
    else:
        workload = vm.settings["workload"]
        placed = regions(workload, settings["workloads"][workload])
        pages = guest_pages_at_start(vm.settings, settings["workloads"][workload], placed)
    if mode == "shadow":
        return int(pages + vm.settings["vcpus"])  # at most: the shadows of the roots that its vCPUs begin with
    tables = table_pages([(0, memory - 1)], 2) if host_levels == 1 else table_pages([(0, pages - 1)], host_levels) + 1
    return pages + tables


def _too_small(findings: Findings, path: Path, memory: int, mode: str, need: int, vm: Instance) -> None:
    tables = "" if mode != "nested" else ", host tables included"
    message = f"found {_size(memory)}, expected at least {_size(need)} for what its VMs hold at start{tables}"
    findings.add(path, "too-small", message, also=[((*vm.path, "memory"), f"VM '{vm.name}' does not fit")])


def _size(pages: int) -> str:
    return format_size(pages * PAGE_BYTES)
