"""What must hold of pages that are out of memory, and of those that may go: see `engine.invariants`."""

from __future__ import annotations

import numpy as np

from vmcfg.engine.compression import check_compression
from vmcfg.engine.file_invariants import cached_pages, pages_on_disk, shared_slots
from vmcfg.plan.model import HostPlan
from vmcfg.reclaim.layer import AGE, HALF, Layer
from vmcfg.vmm import files, swap
from vmcfg.vmm import machine as at


def check_paging(host: HostPlan, machine: at.Machine) -> None:
    """Raise AssertionError if slots, layers and entries disagree."""
    _check_balloons(host, machine)
    check_compression(host, machine)
    if not host.areas:
        return
    _check_host_slots(machine)
    if host.paging:
        _check_host_layer(host, machine)
    for number, plan in enumerate(host.vms):
        if plan.vm.reclaim:
            _check_guest_slots(host, machine, number)
            _check_guest_layer(host, machine, number)
            _check_marks(host, machine, number)


def flying(machine: at.Machine, area: int) -> int:
    """Return how many pages are on their way to a swap area."""
    return int(machine.paging.area[area, swap.LAUNCHED] - machine.paging.area[area, swap.LANDED])


def _check_balloons(host: HostPlan, machine: at.Machine) -> None:
    for number, plan in enumerate(host.vms):
        guest = machine.guests.vm[number]
        kinds = machine.host.pmap[plan.base : plan.base + plan.vm.memory_pages] & at.KIND_MASK
        held = np.sort(machine.guests.balloon[plan.base : plan.base + int(guest[at.BALLOON_PAGES])])
        is_known = guest[at.IS_POPPED] or np.array_equal(np.flatnonzero(kinds == at.BALLOONED), held)
        assert is_known, "a balloon holds other pages than the host knows of"
        assert (np.diff(held) > 0).all(), "a page is in its balloon twice"


def _check_host_slots(machine: at.Machine) -> None:
    pmap = machine.host.pmap
    swapped = np.flatnonzero((pmap & at.KIND_MASK) == at.SWAPPED)
    slots = machine.paging.area[swap.HOST_AREA, swap.SLOTS]
    for gpid in swapped[pmap[swapped] >> at.MPN_SHIFT >= slots]:
        block = int(pmap[gpid] >> at.MPN_SHIFT) - slots
        assert machine.files.block[gpid] == block + 1, "a page was dropped that equals no block"
    swapped = swapped[pmap[swapped] >> at.MPN_SHIFT < slots]
    used, kept = _contents(machine, swap.HOST_AREA)
    order = np.argsort(pmap[swapped])
    led_to = pmap[swapped][order] >> at.MPN_SHIFT
    is_kept = np.array_equal(led_to, used) and np.array_equal(swapped[order] + 1, kept)
    assert is_kept, "host slots hold other pages"
    reserved = machine.host.counts[at.FRAME_RESERVED]
    assert flying(machine, swap.HOST_AREA) == reserved, "frames on their way out are not those set aside"


def _check_host_layer(host: HostPlan, machine: at.Machine) -> None:
    for plan in host.vms:
        pages = machine.host.pmap[plan.base : plan.base + plan.vm.memory_pages]
        is_paged = ((pages & at.KIND_MASK) == at.PRIVATE) & (pages & at.IS_TABLE == 0)
        is_paged[: plan.vm.kernel_pages] = False
        found = _are_resident(machine.paging.host, plan.base, plan.vm.memory_pages)
        assert np.array_equal(found, is_paged), "the host's layer is off"


def _check_guest_slots(host: HostPlan, machine: at.Machine, number: int) -> None:
    leaves = _leaves(host, machine, number)
    led_to = [_page(leaves[leaves & at.IN_SWAP != 0]), np.array(shared_slots(machine, number), np.int64)]
    slots, mappers = np.unique(np.concatenate(led_to), return_counts=True)
    used, held = _contents(machine, 1 + number)
    is_held = np.array_equal(slots, used) and np.array_equal(mappers, held)
    assert is_held, "slots of a guest are not what its leaves lead to"


def _check_guest_layer(host: HostPlan, machine: at.Machine, number: int) -> None:
    plan = host.vms[number]
    leaves = _leaves(host, machine, number)
    mapped = np.unique(_page(leaves[leaves & at.PRESENT != 0]))
    wanted = np.zeros(plan.vm.memory_pages, bool)
    if plan.vm.reclaim and plan.vm.reclaim.swap:
        wanted[mapped] = True
        wanted[list(cached_pages(host, machine, number))] = True
    wanted[pages_on_disk(host, machine, number)] = True
    found = _are_resident(machine.paging.guest, plan.base, plan.vm.memory_pages)
    assert np.array_equal(found, wanted), "a guest's layer does not hold just the pages that are mapped, and its cache"
    entries = machine.guests.tables[machine.guests.where[plan.base + mapped].astype(np.int64) - 1]
    is_where_kept = (entries & at.PRESENT != 0) & (_page(entries) == mapped)
    assert is_where_kept.all(), "a page is not where it is kept"


def _check_marks(host: HostPlan, machine: at.Machine, number: int) -> None:
    plan = host.vms[number]
    words = machine.paging.guest.words[plan.base + 1 : plan.base + 1 + plan.vm.memory_pages]
    assert (words >= 0).all(), "a guest's policy remembers something by a page that holds something else"
    assert plan.vm.reclaim
    if not plan.vm.reclaim.leaves_marks:
        return
    area, rules = machine.paging.area[1 + number], machine.files.rules[number]
    in_slots = machine.paging.marks[area[swap.FIRST] : area[swap.FIRST] + area[swap.SLOTS]]
    used, _ = _contents(machine, 1 + number)
    assert np.array_equal(np.flatnonzero(in_slots), used), "slots have marks that are free, or none that are used"
    in_files = machine.paging.marks[len(machine.paging.slots) :][rules[files.OWN_FIRST] : rules[files.OWN_END]]
    cached = machine.files.cached[rules[files.OWN_FIRST] : rules[files.OWN_END]]
    assert not in_files[cached != 0].any(), "a page of a file is in memory, and has the mark of one that is not"
    assert not (machine.guests.vm[number, at.IS_OFF] and in_files.any()), "a guest that is off has marks"
    left_at = ~np.concatenate([in_slots[in_slots != 0], in_files[in_files != 0]])
    now = machine.paging.guest.owners[number, AGE]
    assert ((left_at >= 0) & (left_at < now)).all(), "a mark is from no time before now"


def _page(entries: np.ndarray) -> np.ndarray:
    """Return the pages, or the slots, that entries lead to."""
    return (entries >> at.PPN_SHIFT) & at.PPN_MASK


def _contents(machine: at.Machine, area: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an area's used slots, ascending, and what they hold; as many as are counted."""
    row = machine.paging.area[area]
    slots = machine.paging.slots[row[swap.FIRST] : row[swap.FIRST] + row[swap.SLOTS]]
    used = np.flatnonzero(slots)
    assert len(used) == row[swap.USED], "used slots are miscounted"
    return used, slots[used]


def _are_resident(layer: Layer, base: int, pages: int) -> np.ndarray:
    """Tell of each of a guest's pages what `reclaim.layer.is_resident` tells of one."""
    words = layer.words[base + 1 : base + 1 + pages]
    return (words > 0) & (words & HALF != 0)


def _leaves(host: HostPlan, machine: at.Machine, number: int) -> np.ndarray:
    """Return the leaves for data of a guest's living processes."""
    processes = machine.guests.process
    found = [np.zeros(0, np.int64)]
    for row in np.flatnonzero((processes[:, at.PROCESS_VM] == number) & (processes[:, at.IS_LIVE] != 0)):
        tables = np.array([processes[row, at.ROOT_TABLE]])
        for level in range(host.vms[number].vm.table_levels, 0, -1):
            entries = machine.guests.tables.reshape(-1, at.TABLE_ENTRIES)[tables]
            if level == host.vms[number].vm.table_levels and host.vms[number].kernel_pages:
                entries = entries[:, : at.TABLE_ENTRIES // 2]
            entries = entries[entries & (at.PRESENT | at.IN_SWAP) != 0]
            if level == 1:
                found.append(entries)
            tables = entries >> at.CHILD_SHIFT
    return np.concatenate(found)
