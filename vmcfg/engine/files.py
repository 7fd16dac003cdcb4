"""Plan → Files: what guests' files and their shared memory are, and which regions map them; none is in memory yet."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vmcfg.plan.model import HostPlan, VmPlan
from vmcfg.plan.reserve import frames_of_access
from vmcfg.vmm import files
from vmcfg.vmm import machine as at


def files_of(host: HostPlan, zeros: Callable[[str], np.ndarray]) -> at.Files:
    """Return the files of a host's guests; `zeros` allocates a planned array."""
    names = host.file_names
    file = np.zeros((max(1, len(host.vms) * len(names)), files.FILE_FIELDS), np.int64)
    for each in host.files:
        row = each.vm * len(names) + names.index(each.name)
        file[row, [files.FIRST, files.PAGES]] = each.first, each.pages
        file[row, [files.DEVICE, files.PLACE]] = each.disk, each.place
    mappings = [_mappings(host, number) for number in range(len(host.vms))]
    rules = np.zeros((len(host.vms), files.RULES), np.int64)
    first = 0
    for number, plan in enumerate(host.vms):
        rules[number] = _rules(host, number, plan)
        rules[number, [files.FIRST_MAPPING, files.MAPPINGS]] = first, len(mappings[number])
        first += len(mappings[number])
    rows = [row for own in mappings for row in own] or [(0, 0, 0)]
    arrays = {name: zeros(f"files.{name}") for name in ("cached", "dirtied", "origin", "block", "image")}
    return at.Files(file=file, mapping=np.array(rows, np.int64), rules=rules, **arrays)


def _mappings(host: HostPlan, number: int) -> list[tuple[int, int, int]]:
    """Return (first virtual page, pages, number of the first) of a VM's regions that map files or shared memory."""
    of_files = {file.name: file.first for file in host.files if file.vm == number}
    of_shared = {each.region: each.first for each in host.shared if each.vm == number}
    return [
        (region.base_vpn, region.pages, of_shared[region.name] if region.is_shared else of_files[region.file])
        for region in host.vms[number].regions if region.is_shared or region.file
    ]


def _rules(host: HostPlan, number: int, plan: VmPlan) -> np.ndarray:
    rules = np.zeros(files.RULES, np.int64)
    own = [file for file in host.files if file.vm == number]
    if own and plan.vm.page_cache:
        cache = plan.vm.page_cache
        rules[[files.HAS_FILES, files.READ_AHEAD]] = 1, cache.read_ahead_pages
        rules[[files.OWN_FIRST, files.OWN_END]] = own[0].first, own[-1].first + own[-1].pages
        rules[files.OLD_TURNS] = -(-cache.flush_after_ns // cache.flush_every_ns)
    shared = [each for each in host.shared if each.vm == number]
    if shared:
        rules[[files.SHARED_FIRST, files.SHARED_END]] = shared[0].first, shared[-1].first + shared[-1].pages
    rules[files.HOLDS] = bool(own or shared)
    rules[files.NAMES] = len(host.file_names)
    rules[files.SPARE] = 2 * frames_of_access(plan.vm, host.mode, host.host_levels)
    return rules
