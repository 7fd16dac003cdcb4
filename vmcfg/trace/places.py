"""Where things lie: the machine addresses of table entries, and what an entry of a cache stands for.

A guest table's page is found by walking down from the root, the frame of an EPT table in the entry above it. Addresses
are those that walks look up in the data caches, where a host models them.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.hardware import sets as layout
from vmcfg.hardware.core import (
    GUEST_WALK,
    HIGHEST_WALK,
    HOST_WALK,
    L2,
    NESTED_TLB,
    SOFTWARE_TLB,
    STORES,
    TABLE_BITS,
)
from vmcfg.jit import as_python
from vmcfg.mmu.references import PAGE_BYTES, entry_address
from vmcfg.mmu.walks import kernel_vpn
from vmcfg.plan.model import HostPlan, bits_of
from vmcfg.trace.steps import Held
from vmcfg.vmm import machine as at
from vmcfg.vmm.shadow_pages import FRAME

INDEX_MASK = at.TABLE_ENTRIES - 1
page_of_tag, space_of = as_python(layout.page_of_tag), as_python(layout.space_of)
first_of_kernel = as_python(kernel_vpn)  # levels → the first page of the guest kernel's memory
address_of_entry = as_python(entry_address)  # (frame, page, level, bits) → the entry's address
HOST_PRESENT = "RWX"  # an EPT entry that is present allows everything
SIZES = {1: "4KiB", 2: "2MiB", 3: "1GiB"}  # of a page by the level of the entry that maps it
LARGE_BIT = 1 << 7  # of an entry in memory that maps a large page, in both dimensions


class Places:
    """The places of one host's machine, seen from one process and page at a time."""

    def __init__(self, host: HostPlan, machine: at.Machine, vcpu: int) -> None:
        self._vms = [vm.vm.name for vm in host.vms]
        self._disks = [disk.name for disk in host.disks]
        self._spaces = dict(_address_spaces(host, machine))
        self._space_bits = dict(_bits_of_spaces(host, machine))
        self._caches = [store.name for store in host.stores]
        self._machine = machine
        self.vm = int(machine.vcpu[vcpu, at.VM])
        self._vcpu = vcpu
        self.new_level = 0  # of a guest table that is being written, and that no entry leads to yet
        self.is_shadow = int(machine.cost[at.MODE]) == at.SHADOW
        self._base = int(machine.guests.vm[self.vm, at.BASE])
        self.levels = int(machine.guests.vm[self.vm, at.LEVELS])
        self.bits = int(machine.guests.vm[self.vm, at.INDEX_BITS])
        self._nodes = int(machine.cost[at.TABLE_NODES]) * at.TABLE_ENTRIES
        self.host_levels = int(machine.guests.vm[self.vm, at.HOST_LEVELS])

    def frame_of(self, ppn: int) -> int:
        """Return the frame of a backed guest page."""
        return int(self._machine.host.pmap[self._base + ppn]) >> at.MPN_SHIFT

    def gpid(self, ppn: int) -> int:
        return self._base + ppn

    def guest_page(self, gpid: int) -> str:
        """Name a page of any VM of the host."""
        bases = self._machine.guests.vm[:, at.BASE]
        vm = int(bases.searchsorted(gpid, "right")) - 1
        page = f"ppn {gpid - int(bases[vm]):#x}"
        return page if vm == self.vm else f"{page} of {self._vms[vm]}"

    def disk(self, device: int) -> str:
        """Name a disk of the host."""
        return self._disks[device]

    def ppn_of(self, gpid: int) -> int:
        return gpid - self._base

    def guest_path(self, vpn: int) -> dict[int, tuple[int, int]]:
        """Return level → (table, its PPN) of the tables that exist on the way to a page, from the root down."""
        if not self.levels:
            return {}
        process = self._machine.guests.process[int(self._machine.vcpu[self._vcpu, at.PROCESS])]
        is_kernel = self._machine.guests.vm[self.vm, at.KERNEL_ENTRY] and vpn >= first_of_kernel(self.levels)
        root = (at.KERNEL_ROOT_TABLE, at.KERNEL_ROOT_PPN) if is_kernel else (at.ROOT_TABLE, at.ROOT_PPN)
        table, ppn = (int(process[field]) for field in root)
        path = {self.levels: (table, ppn)}
        for level in range(self.levels, 1, -1):
            entry = int(self._machine.guests.tables[table * at.TABLE_ENTRIES + self.guest_index(vpn, level)])
            if not entry & at.PRESENT or entry & at.LARGE_PAGE:
                break
            table, ppn = entry >> at.CHILD_SHIFT, (entry >> at.PPN_SHIFT) & at.PPN_MASK
            path[level - 1] = table, ppn
        return path

    def loaded_root(self) -> tuple[int, bool]:
        """Return the page of the root that CR3 has, and whether its entries are in registers too."""
        process = self._machine.guests.process[int(self._machine.vcpu[self._vcpu, at.PROCESS])]
        root = at.KERNEL_ROOT_PPN if self._machine.vcpu[self._vcpu, at.IN_KERNEL] else at.ROOT_PPN
        return int(process[root]), self.levels == at.PAE_LEVELS

    def guest_address(self, vpn: int, level: int) -> int:
        """Return the machine address of the guest's entry of `level` for a page."""
        _, ppn = self.guest_path(vpn)[level]
        return address_of_entry(self.frame_of(ppn), vpn, level, self.bits)

    def guest_index(self, vpn: int, level: int) -> int:
        """Return the index of a page's entry in the guest's table of `level`."""
        return (vpn >> self.bits * (level - 1)) % 2**self.bits

    def written(self, slot: int) -> tuple[int, int, int]:
        """Return (level, index, machine address) of an entry of a guest table by its place in `guests.tables`."""
        first, index = slot // self._nodes * self._nodes, slot % self._nodes
        table = first // at.TABLE_ENTRIES
        frame = self.frame_of(int(self._machine.guests.ppns[table]))
        return self._level_of_table(table), index, address_of_entry(frame, index, 1, self.bits)

    def _level_of_table(self, wanted: int) -> int:
        """Search the tables of this VM's processes from their roots down, then those that an exec is leaving behind."""
        vm, processes = self._machine.guests.vm[self.vm], self._machine.guests.process
        own = range(int(vm[at.FIRST_PROCESS]), int(vm[at.FIRST_PROCESS] + vm[at.SLOTS]))
        for numbers in ([number for number in own if processes[number, at.IS_LIVE]], [int(vm[at.LEFT])]):
            tables = set(processes[numbers][:, [at.ROOT_TABLE, at.KERNEL_ROOT_TABLE]].flatten().tolist())
            for level in range(self.levels, 0, -1):
                if wanted in tables:
                    return level
                tables = {child for table in tables for child in self._children(table)} if level > 1 else set()
        assert self.new_level, "a table that no process has was written"
        return self.new_level

    def _children(self, table: int) -> list[int]:
        entries = self._machine.guests.tables[table * at.TABLE_ENTRIES :][: self._nodes]
        present = entries[(entries & (at.PRESENT | at.LARGE_PAGE)) == at.PRESENT] >> at.CHILD_SHIFT
        return [int(child) for child in present]

    def host_address(self, ppn: int, level: int) -> int:
        """Return the machine address of the EPT's entry of `level` for a guest page."""
        root = int(self._machine.guests.vm[self.vm, at.EPT_ROOT])
        if self.host_levels == 1:
            root += _key(ppn, 2)  # a flat table goes on from frame to frame
        frame = root if level == self.host_levels else self.ept_entry(ppn, level + 1) - 1
        return address_of_entry(frame, ppn, level, TABLE_BITS)

    def ept_entry(self, ppn: int, level: int) -> int:
        """Return the frame of the table that an EPT entry of `level` leads to, + 1; 0 where it is absent."""
        first = int(self._machine.guests.vm[self.vm, at.EPT + level])
        return int(self._machine.host.ept[first + _key(ppn, level)])

    def ept_level(self, place: int) -> int:
        """Return the level of an entry by its place in `host.ept`."""
        vm = self._machine.guests.vm[self.vm]
        begins = {int(vm[at.EPT + level]): level for level in range(self.host_levels, 1, -1)}
        return begins[max(begin for begin in begins if begin <= place)]

    def cache_name(self, cache: int) -> str:
        return self._caches[cache % STORES]

    def held(self, cache: int, tag: int) -> Held:
        """Say what a tag stands for."""
        if dimension_of(cache) == "tlb":
            page, level = page_of_tag(tag)
            return Held(self._spaces[space_of(tag)], page, 1 << TABLE_BITS * (level - 1))
        key = (tag & ((1 << layout.SPACE_SHIFT) - 1)) >> layout.KEY_SHIFT
        space = space_of(tag)
        bits = self._space_bits[space] if dimension_of(cache) == "guest" else TABLE_BITS
        shift = bits * (_level_of(cache) - 1)
        owner = self._vms[space] if dimension_of(cache) == "host" else self._spaces[space]
        return Held(owner, key << shift, 1 << shift)

    def leads_to(self, cache: int, payload: int) -> str:
        """Say what an entry of a cache leads to."""
        kind, level = cache % STORES, _level_of(cache)
        if kind <= NESTED_TLB or kind >= SOFTWARE_TLB:
            return f"mpn {payload:#x}"
        if kind > GUEST_WALK + HIGHEST_WALK:
            return f"host L{level - 1} table, mpn {payload - 1:#x}"
        return f"{'shadow' if self.is_shadow else 'guest'} L{level - 1} table"

    def dimension_of(self, cache: int) -> str:
        """Return to which part of a translation a cache belongs: tlb, guest, host, or shadow in the guest's place."""
        dimension = dimension_of(cache)
        return "shadow" if dimension == "guest" and self.is_shadow else dimension

    def shadow_address(self, slot: int, vpn: int, level: int) -> int:
        """Return the machine address of an entry of a shadow table by its place in `shadow.entries`."""
        return address_of_entry(int(self._machine.shadow.page[slot // at.TABLE_ENTRIES, FRAME]), vpn, level, TABLE_BITS)


def _address_spaces(host: HostPlan, machine: at.Machine) -> Iterator[tuple[int, str]]:
    """Yield the tags of linear mappings with their owners: a VM's only process goes by the VM's name."""
    for number, plan in enumerate(host.vms):
        name = plan.vm.name
        yield int(machine.guests.vm[number, at.GLOBAL_SPACE]), f"{name}'s kernel"
        for slot in range(plan.slots):
            process = plan.first_process + slot
            whose = name if plan.slots == 1 else f"{name}, process {slot}"
            yield process, whose
            if plan.vm.kpti:
                yield int(machine.guests.process[process, at.KERNEL_SPACE]), f"{whose}, kernel's view"


def _bits_of_spaces(host: HostPlan, machine: at.Machine) -> Iterator[tuple[int, int]]:
    """Yield the tags of address spaces that walk caches know, with the bits that select an entry of their tables."""
    for plan in host.vms:
        for process in range(plan.first_process, plan.first_process + plan.slots):
            yield process, bits_of(plan.vm)
            yield int(machine.guests.process[process, at.KERNEL_SPACE]), bits_of(plan.vm)


def dimension_of(cache: int) -> str:
    """Return to which part of a translation a cache belongs: tlb, guest or host."""
    kind = cache % STORES
    if kind <= L2 or kind >= SOFTWARE_TLB:
        return "tlb"
    return "host" if kind == NESTED_TLB or kind > GUEST_WALK + HIGHEST_WALK else "guest"


def index_of(page: int, level: int) -> int:
    """Return the index of a page's entry in its table of `level`."""
    return _key(page, level) & INDEX_MASK


def guest_bits(entry: int) -> str:
    """Return the bits of a guest entry as letters: P present, W writable, A accessed, D dirty."""
    named = (("P", at.PRESENT), ("W", at.WRITABLE), ("A", at.ACCESSED), ("D", at.DIRTY))
    return "".join(letter for letter, bit in named if entry & bit)


def guest_value(entry: int) -> int:
    """Return an entry as memory holds it: the machine's own note of where the next table lies is left out."""
    return entry & ((1 << at.CHILD_SHIFT) - 1)


def host_bits(page: int) -> str:
    """Return the bits of the EPT's leaf entry, as the pmap entry of a guest page has them: R, W, X, then A and D."""
    if page & at.KIND_MASK != at.PRIVATE:
        return ""
    return HOST_PRESENT + "A" * bool(page & at.HOST_ACCESSED) + "D" * bool(page & at.HOST_DIRTY)


def large_bits(entry: int) -> str:
    """Return the bits of an EPT entry that maps a large page, as `host.ept` has it."""
    return HOST_PRESENT + "A" * bool(entry & at.HOST_ACCESSED) + "D" * bool(entry & at.HOST_DIRTY)


def first_of(page: int, level: int) -> int:
    """Return the first page that an entry of `level` maps together with `page`."""
    return _key(page, level) << TABLE_BITS * (level - 1)


def host_value(frame: int, bits: str) -> int:
    """Return an EPT entry as memory holds it: R, W, X are its lowest bits, A and D bits 8 and 9."""
    if not bits:
        return 0
    return frame * PAGE_BYTES | 7 | ("A" in bits) << 8 | ("D" in bits) << 9


def guest_target(entry: int, level: int) -> str:
    """Say what a guest entry leads to."""
    if not entry & at.PRESENT:
        return ""
    ppn = (entry >> at.PPN_SHIFT) & at.PPN_MASK
    if entry & at.LARGE_PAGE:
        return f"ppn {ppn:#x}, the page of {SIZES[level]}"
    return f"ppn {ppn:#x}, " + ("the page" if level == 1 else f"guest L{level - 1}")


def shadow_target(entry: int, level: int) -> str:
    """Say what a shadow entry leads to."""
    if not entry & at.PRESENT:
        return ""
    mpn = (entry >> at.PPN_SHIFT) & at.PPN_MASK
    if entry & at.LARGE_PAGE:
        return f"mpn {mpn:#x}, {SIZES[level]}"
    return f"mpn {mpn:#x}, " + ("the page" if level == 1 else f"shadow L{level - 1}")


def _level_of(cache: int) -> int:
    kind = cache % STORES
    if kind <= NESTED_TLB or kind >= SOFTWARE_TLB:
        return 1
    return kind - (HOST_WALK if kind > GUEST_WALK + HIGHEST_WALK else GUEST_WALK)


def _key(page: int, level: int) -> int:
    return page >> (TABLE_BITS * (level - 1))
