"""What must hold of the guests' page caches: see `engine.invariants`."""

from __future__ import annotations

import numpy as np

from vmcfg.plan.model import HostPlan
from vmcfg.vmm import files
from vmcfg.vmm import machine as at


def cached_pages(host: HostPlan, machine: at.Machine, number: int) -> dict[int, int]:
    """Return a guest's pages that hold pages of files: PPN to page of a file."""
    if not host.vms[number].vm.files:
        return {}
    base = host.vms[number].base
    origin = machine.files.origin[base : base + host.vms[number].vm.memory_pages]
    return {int(ppn): int(origin[ppn]) - 1 for ppn in np.flatnonzero(origin)}


def check_files(host: HostPlan, machine: at.Machine) -> None:
    """Raise AssertionError unless each page of a file is in one place, and each dirty one is in the cache."""
    known: dict[int, tuple[int, int]] = {}
    for number in range(len(host.vms)):
        cached = cached_pages(host, machine, number)
        assert len(cached) == machine.files.rules[number, files.CACHED], "cached pages are miscounted"
        assert len(set(cached.values())) == len(cached), "a page of a file is cached twice"
        own = [range(file.first, file.first + file.pages) for file in host.files if file.vm == number]
        for ppn, page in cached.items():
            assert any(page in pages for pages in own), "a guest page holds a page of another guest's file"
            known[page] = number, ppn
    found = {int(page): int(machine.files.cached[page]) - 1 for page in np.flatnonzero(machine.files.cached)}
    assert found == {page: ppn for page, (_, ppn) in known.items()}, "pages of files are not where they are kept"
    assert set(np.flatnonzero(machine.files.dirtied).tolist()) <= set(known), "a dirty page is not in the cache"
