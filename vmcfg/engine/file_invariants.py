"""What must hold of the guests' page caches, and of their shared memory: see `engine.invariants`."""

from __future__ import annotations

import numpy as np

from vmcfg.plan.model import HostPlan
from vmcfg.vmm import files
from vmcfg.vmm import machine as at


def cached_pages(host: HostPlan, machine: at.Machine, number: int) -> dict[int, int]:
    """Return a guest's pages that hold pages of files, or of shared memory: PPN to page."""
    if not machine.files.rules[number, files.HOLDS]:
        return {}
    base = host.vms[number].base
    origin = machine.files.origin[base : base + host.vms[number].vm.memory_pages]
    return {int(ppn): int(origin[ppn]) - 1 for ppn in np.flatnonzero(origin)}


def pages_on_disk(host: HostPlan, machine: at.Machine, number: int) -> list[int]:
    """Return a guest's pages that hold pages of files which lie on disks."""
    end = machine.files.rules[number, files.OWN_END]
    return [ppn for ppn, page in cached_pages(host, machine, number).items() if page < end]


def shared_slots(machine: at.Machine, number: int) -> list[int]:
    """Return the slots of a guest's swap area that hold pages of its shared memory."""
    rules = machine.files.rules[number]
    held = machine.files.cached[rules[files.SHARED_FIRST] : rules[files.SHARED_END]]
    return [-1 - int(slot) for slot in held[held < 0]]


def check_files(host: HostPlan, machine: at.Machine) -> None:
    """Raise AssertionError unless each page of a file is in one place, and each dirty one is in the cache."""
    known: dict[int, tuple[int, int]] = {}
    for number in range(len(host.vms)):
        cached = cached_pages(host, machine, number)
        kept = machine.files.rules[number, files.CACHED]
        assert len(pages_on_disk(host, machine, number)) == kept, "cached pages are miscounted"
        assert len(set(cached.values())) == len(cached), "a page of a file is cached twice"
        own = [range(file.first, file.first + file.pages) for file in host.files if file.vm == number]
        own += [range(shared.first, shared.first + shared.pages) for shared in host.shared if shared.vm == number]
        for ppn, page in cached.items():
            assert any(page in pages for pages in own), "a guest page holds a page of another guest's file"
            known[page] = number, ppn
    found = {int(page): int(machine.files.cached[page]) - 1 for page in np.flatnonzero(machine.files.cached > 0)}
    assert found == {page: ppn for page, (_, ppn) in known.items()}, "pages of files are not where they are kept"
    assert set(np.flatnonzero(machine.files.dirtied).tolist()) <= set(known), "a dirty page is not in the cache"
