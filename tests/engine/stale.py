"""What the caches of a machine hold against its tables: an entry that these do not say is stale.

Read from outside, by what the tables say at this moment and nothing else: however a guest has changed them, no TLB,
walk cache or nested TLB may lead anywhere else, and none may promise that a store needs no walk where it does. What
a vCPU only keeps the PCID of may be out of date, if it is marked to be flushed before it is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from vmcfg.hardware import sets
from vmcfg.hardware.core import (
    GUEST_WALK,
    HIGHEST_WALK,
    HOST_WALK,
    L1,
    L2,
    LARGE_TLBS,
    LOWEST_WALK,
    NESTED_TLB,
    STORES,
)
from vmcfg.hardware.stores import Held, held
from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at

STORABLE = at.PRESENT | at.WRITABLE | at.DIRTY


def stale_entries(host: HostPlan, machine: at.Machine) -> list[str]:
    """Return, in words, each entry of a translation cache that is not what the tables say."""
    return [f"core {core}: {fault}" for core in range(host.cores) for fault in _of_core(host, machine, core)]


def unaccounted_pages(host: HostPlan, machine: at.Machine, vm: int) -> list[str]:
    """Return, in words, each guest page that is not just one of free, kernel, table, held, or mapped by all sharers."""
    plan = host.vms[vm]
    pages, base = plan.vm.memory_pages, plan.base
    uses: list[Counter[str]] = [Counter() for _ in range(pages)]
    for ppn in _free_pages(machine, vm, base):
        uses[ppn]["free"] += 1
    for ppn in range(plan.vm.kernel_pages):
        uses[ppn]["kernel"] += 1
    mapped: Counter[int] = Counter()
    for leaf, ppn in _pages_of_tables(machine, vm):
        if leaf == 0:
            uses[ppn]["table"] += 1
        elif ppn >= plan.vm.kernel_pages:
            mapped.update(range(ppn, ppn + 512 ** (leaf - 1)))
    held = set(np.flatnonzero(machine.files.origin[base : base + pages]).tolist())  # by shared memory
    for ppn in held - set(mapped):
        uses[ppn]["held"] += 1
    for ppn, mappings in mapped.items():
        uses[ppn]["data"] += 1
        if mappings != int(machine.guests.sharers[base + ppn]) + (ppn not in held):
            uses[ppn][f"mapped {mappings} times"] += 1
    return [f"page {ppn} is {dict(use)}" for ppn, use in enumerate(uses) if sum(use.values()) != 1]


def roots(machine: at.Machine, vm: int) -> Iterator[tuple[tuple[int, int], int, int]]:
    """Yield ((slot, root), root table, its page) of each living process; with KPTI there is a second root."""
    guest, processes = machine.guests.vm[vm], machine.guests.process
    for slot in range(int(guest[at.SLOTS])):
        process = processes[int(guest[at.FIRST_PROCESS]) + slot]
        if process[at.IS_LIVE]:
            yield (slot, 0), int(process[at.ROOT_TABLE]), int(process[at.ROOT_PPN])
            if guest[at.HAS_KPTI]:
                yield (slot, 1), int(process[at.KERNEL_ROOT_TABLE]), int(process[at.KERNEL_ROOT_PPN])


def entries_below(machine: at.Machine, vm: int, table: int) -> Iterator[tuple[int, int, int]]:
    """Yield (level, page >> 9 (level - 1), entry) of each present entry, found from a root down."""
    waiting = [(int(machine.guests.vm[vm, at.LEVELS]), 0, table)]
    while waiting:
        level, prefix, table = waiting.pop()
        first = table * at.TABLE_ENTRIES
        entries = machine.guests.tables[first : first + at.TABLE_ENTRIES]
        for index in np.flatnonzero(entries & at.PRESENT).tolist():
            yield level, prefix << 9 | index, int(entries[index])
            if level > 1 and not entries[index] & at.LARGE_PAGE:
                waiting.append((level - 1, prefix << 9 | index, int(entries[index]) >> at.CHILD_SHIFT))


def _of_core(host: HostPlan, machine: at.Machine, core: int) -> Iterator[str]:
    spaces = {space: (vm, table) for vm in range(len(host.vms)) for space, table in _spaces(machine, vm)}
    unused = spaces.keys() - _usable(host, machine, core)
    first = core * STORES
    for kind in (*range(L1, L2 + 1), *range(LARGE_TLBS, STORES)):
        for entry in held(machine.stores, first + kind):
            space, vpn = _space_and_page(entry)
            if space in unused:
                continue
            if space not in spaces or _tlb_entry(host, machine, *spaces[space], vpn, entry.is_dirty) != entry.payload:
                yield f"TLB {kind} leads page {vpn:#x} of space {space} to frame {entry.payload}, D {entry.is_dirty}"
    for level in range(LOWEST_WALK, HIGHEST_WALK + 1):
        for entry in held(machine.stores, first + GUEST_WALK + level):
            space, key = _space_and_key(entry)
            if space in unused:
                continue
            if space not in spaces or _child(machine, *spaces[space], level, key) != entry.payload:
                yield f"walk cache {level} leads {key:#x} of space {space} to table {entry.payload}"
        for entry in held(machine.stores, first + HOST_WALK + level):
            vm, key = _space_and_key(entry)
            if int(machine.host.ept[host.vms[vm].ept_offsets[level] + key]) != entry.payload:
                yield f"host walk cache {level} leads {key:#x} of VM {vm} to {entry.payload}"
    for entry in held(machine.stores, first + NESTED_TLB):
        vm, ppn = _space_and_key(entry)
        if _frame(host, machine, vm, ppn) != entry.payload:
            yield f"nested TLB leads page {ppn} of VM {vm} to frame {entry.payload}"


def _space_and_key(entry: Held) -> tuple[int, int]:
    tag = entry.tag & ~sets.LARGE_BIT
    return tag >> sets.SPACE_SHIFT, (tag & (1 << sets.SPACE_SHIFT) - 1) >> sets.KEY_SHIFT


def _space_and_page(entry: Held) -> tuple[int, int]:
    """Of a TLB's entry: a large page is held by its number in units of its size, with bits that say which."""
    space, key = _space_and_key(entry)
    if not entry.tag & sets.LARGE_BIT:
        return space, key
    return (space, (key ^ sets.GIB_BIT) << 18) if key & sets.GIB_BIT else (space, key << 9)


def _spaces(machine: at.Machine, vm: int) -> Iterator[tuple[int, int]]:
    """Yield (space, root table) for whatever the VM's linear mappings are tagged by."""
    guest, processes = machine.guests.vm[vm], machine.guests.process
    for number in range(int(guest[at.FIRST_PROCESS]), int(guest[at.FIRST_PROCESS] + guest[at.SLOTS])):
        if processes[number, at.IS_LIVE]:
            yield number, int(processes[number, at.ROOT_TABLE])
            yield int(processes[number, at.KERNEL_SPACE]), int(processes[number, at.KERNEL_ROOT_TABLE])


def _usable(host: HostPlan, machine: at.Machine, core: int) -> set[int]:
    """Return the spaces that a vCPU of the core has loaded, or would load without flushing them."""
    processes = set()
    for vcpu in range(core, len(host.vcpus), host.cores):
        processes.add(int(machine.vcpu[vcpu, at.PROCESS]))
        if host.has_pcid:
            processes |= {place - 1 for place in machine.guests.pcids[vcpu].tolist() if place > 0}
    return processes | {int(machine.guests.process[process, at.KERNEL_SPACE]) for process in processes}


def _tlb_entry(host: HostPlan, machine: at.Machine, vm: int, table: int, vpn: int, is_dirty: bool) -> int:
    """Return the frame of a page, -1 if it has none, or if D is claimed and not to be had."""
    leaf, size = _guest_leaf(machine, vm, table, vpn)
    if not leaf or (is_dirty and leaf & STORABLE != STORABLE):
        return -1
    ppn = (leaf >> at.PPN_SHIFT & at.PPN_MASK) + vpn % size
    frame = _frame(host, machine, vm, ppn)
    if is_dirty and host.has_ept_ad and not host.has_large_pages:  # a large page's D stands elsewhere
        return frame if int(machine.host.pmap[host.vms[vm].base + ppn]) & at.HOST_DIRTY else -1
    return frame


def _guest_leaf(machine: at.Machine, vm: int, table: int, vpn: int) -> tuple[int, int]:
    """Return the leaf of a page, 0 if it is absent, and how many pages it maps."""
    for level in (3, 2):
        entry = _guest_entry(machine, vm, table, level, vpn >> 9 * (level - 1))
        if entry & at.LARGE_PAGE:
            return entry, 512 ** (level - 1)
    return _guest_entry(machine, vm, table, 1, vpn), 1


def _guest_entry(machine: at.Machine, vm: int, table: int, level: int, key: int) -> int:
    """Return the entry of a level for the pages that begin with `key`, 0 if it is absent."""
    entry = 0
    for above in range(int(machine.guests.vm[vm, at.LEVELS]) - level, -1, -1):
        entry = int(machine.guests.tables[table * at.TABLE_ENTRIES + (key >> 9 * above) % at.TABLE_ENTRIES])
        if not entry & at.PRESENT or (above and entry & at.LARGE_PAGE):
            return 0
        table = entry >> at.CHILD_SHIFT
    return entry


def _child(machine: at.Machine, vm: int, table: int, level: int, key: int) -> int:
    """Return the table that the entry leads to, -1 if it is absent."""
    entry = _guest_entry(machine, vm, table, level, key)
    return entry >> at.CHILD_SHIFT if entry else -1


def _frame(host: HostPlan, machine: at.Machine, vm: int, ppn: int) -> int:
    page = int(machine.host.pmap[host.vms[vm].base + ppn])
    return page >> at.MPN_SHIFT if page & at.KIND_MASK == at.PRIVATE else -1


def _free_pages(machine: at.Machine, vm: int, base: int) -> list[int]:
    """Return what was freed, what nobody has had, and what is left of the range that tables have for themselves.

    A large page that was freed whole stays so, until it is taken as one or broken up.
    """
    guest = machine.guests.vm[vm]
    blocks = machine.guests.blocks[base // 512 :][: int(guest[at.GUEST_BLOCK_TOP])].tolist()
    whole = [ppn for block in blocks for ppn in range(block, block + 512)]
    stack = machine.guests.free_list[base : base + int(guest[at.GUEST_TOP])].tolist()
    fresh, ceiling, first, end = (int(guest[f]) for f in (at.GUEST_FRESH, at.CEILING, at.TABLE_NEXT, at.TABLE_END))
    return [*stack, *whole, *range(fresh, ceiling), *range(first, end)]


def _pages_of_tables(machine: at.Machine, vm: int) -> Iterator[tuple[int, int]]:
    """Yield (0, page) of each table, those that several entries lead to once, and (level, first page) of each leaf."""
    waiting = []
    for _, table, page in roots(machine, vm):
        waiting.append((int(machine.guests.vm[vm, at.LEVELS]), table))
        yield 0, page
    seen = {table for _, table in waiting}
    while waiting:
        level, table = waiting.pop()
        first = table * at.TABLE_ENTRIES
        entries = machine.guests.tables[first : first + at.TABLE_ENTRIES]
        for entry in entries[entries & at.PRESENT != 0].tolist():
            child = entry >> at.CHILD_SHIFT
            if level == 1 or entry & at.LARGE_PAGE:
                yield level, entry >> at.PPN_SHIFT & at.PPN_MASK
            elif child not in seen:
                yield 0, entry >> at.PPN_SHIFT & at.PPN_MASK
                seen.add(child)
                waiting.append((level - 1, child))
