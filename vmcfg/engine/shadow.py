"""Plan → Shadow: the arrays of shadow paging, of no size in other modes; and what must hold of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at
from vmcfg.vmm.shadow_pages import FRESH, GUEST_TABLE, HEIGHT, LEVEL, PAGE_FIELDS, PAGE_VM


def shadow_of(host: HostPlan, zeros: Callable[[str], np.ndarray]) -> at.Shadow:
    """Return what the VMM keeps of shadow tables at t = 0: nothing yet. `zeros` allocates a planned array."""
    pages = host.shadow_pages
    lists = len(host.vcpus) if host.shadow else 0
    slots, targets = (host.shadow.unsync_slots, host.shadow.cr3_targets) if host.shadow else (0, 0)
    return at.Shadow(
        entries=zeros("shadow.entries"),
        page=np.zeros((pages, PAGE_FIELDS), np.int64),
        of_table=zeros("shadow.of_table"),
        head=zeros("shadow.head"),
        next=zeros("shadow.next"),
        pool=np.zeros(2, np.int64),
        given_back=np.zeros(pages, np.int32),
        stack=np.zeros(pages, np.int32),
        unsync=np.zeros((lists, slots), np.int32),
        targets=np.zeros((lists, targets), np.int32),
    )


def check_shadow(host: HostPlan, machine: at.Machine) -> None:
    """Raise AssertionError if a shadow table disagrees with what it shadows, or the reverse map with the tables.

    shadow(VPN) = pmap(guest's table(VPN)), writable only where the guest's entry has W and D.
    """
    mappers: dict[int, int] = {}
    for page in _used_pages(machine):
        guest_table, level, vm = (int(machine.shadow.page[page, field]) for field in (GUEST_TABLE, LEVEL, PAGE_VM))
        entries = machine.shadow.entries.reshape(-1, at.TABLE_ENTRIES)[page]
        for place in np.flatnonzero(entries & at.PRESENT):
            shadow = int(entries[place])
            entry = int(machine.guests.tables[guest_table * at.TABLE_ENTRIES + place])
            assert entry & at.PRESENT, "a shadow entry is present, the guest's is not"
            if level > 1:
                below = int(machine.shadow.page[shadow >> at.CHILD_SHIFT, GUEST_TABLE])
                assert below == entry >> at.CHILD_SHIFT, "a shadow table leads to another table than the guest's"
                continue
            gpid = host.vms[vm].base + ((entry >> at.PPN_SHIFT) & at.PPN_MASK)
            frame = (shadow >> at.PPN_SHIFT) & at.PPN_MASK
            assert int(machine.host.pmap[gpid]) >> at.MPN_SHIFT == frame, "a shadow entry leads to another frame"
            both = at.WRITABLE | at.DIRTY
            assert not shadow & at.WRITABLE or entry & both == both, "a shadow entry lets more write than the guest's"
            mappers[gpid] = mappers.get(gpid, 0) + 1
    for mapped in np.flatnonzero(machine.shadow.head):
        assert _chain_length(machine, int(mapped)) == mappers.pop(int(mapped), 0), "the reverse map misses an entry"
    assert not mappers, "the reverse map misses a page"


def _used_pages(machine: at.Machine) -> list[int]:
    """Return the shadow pages in use."""
    pool = machine.shadow.pool
    given_back = set(machine.shadow.given_back[: pool[HEIGHT]].tolist())
    return [page for page in range(1, int(pool[FRESH]) + 1) if page not in given_back]


def _chain_length(machine: at.Machine, gpid: int) -> int:
    length, slot = 0, int(machine.shadow.head[gpid])
    while slot:
        length += 1
        slot = int(machine.shadow.next[slot - 1])
    return length
