"""Plan → Files: what guests' files are, and which regions map them; no page is in memory at t = 0."""

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
    names = host.file_names
    return [
        (region.base_vpn, region.pages, number * len(names) + names.index(region.file))
        for region in host.vms[number].regions if region.file
    ]


def _rules(host: HostPlan, number: int, plan: VmPlan) -> np.ndarray:
    rules = np.zeros(files.RULES, np.int64)
    own = [file for file in host.files if file.vm == number]
    if own and plan.vm.page_cache:
        cache = plan.vm.page_cache
        rules[[files.HAS_FILES, files.READ_AHEAD]] = 1, cache.read_ahead_pages
        rules[[files.OWN_FIRST, files.OWN_END]] = own[0].first, own[-1].first + own[-1].pages
        rules[files.OLD_TURNS] = -(-cache.flush_after_ns // cache.flush_every_ns)
    rules[files.NAMES] = len(host.file_names)
    rules[files.SPARE] = 2 * frames_of_access(plan.vm, host.mode, host.host_levels)
    return rules
