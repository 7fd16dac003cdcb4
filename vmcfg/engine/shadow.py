"""Plan → Shadow: the arrays of shadow paging, of no size in other modes; and what must hold of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from vmcfg.plan.model import HostPlan, pages_of_level
from vmcfg.vmm import machine as at
from vmcfg.vmm.shadow_pages import FRESH, GUEST_TABLE, HEIGHT, LEAF_LEVEL, LEVEL, PAGE_FIELDS, PAGE_VM


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

    shadow(VPN) = pmap(guest's table(VPN)), as large as the smaller of their pages, writable only where the guest's
    entry has W and D.
    """
    mappers: dict[int, int] = {}
    pieces: set[int] = set()
    for page in _used_pages(machine):
        if not _is_of_pieces(machine, page):
            for leaf in _leaves(machine, page, pieces):
                gpid = _check_leaf(host, machine, leaf)
                mappers[gpid] = mappers.get(gpid, 0) + 1
    assert pieces == {page for page in _used_pages(machine) if _is_of_pieces(machine, page)}, "pieces belong to nobody"
    for mapped in np.flatnonzero(machine.shadow.head):
        assert _chain_length(machine, int(mapped)) == mappers.pop(int(mapped), 0), "the reverse map misses an entry"
    assert not mappers, "the reverse map misses a page"


class _Leaf(NamedTuple):
    """A leaf of a shadow table: it is of `level`, and stands for the guest page `ppn` or a larger one around it."""

    vm: int
    level: int
    shadow: int
    guest: int
    guest_level: int
    ppn: int


def _leaves(machine: at.Machine, page: int, pieces: set[int]) -> Iterator[_Leaf]:
    """Yield the leaves of a shadow page that follows a guest's table, and of `pieces`, which are collected."""
    guest_table, level, vm = (int(machine.shadow.page[page, field]) for field in (GUEST_TABLE, LEVEL, PAGE_VM))
    for place, shadow in _present(machine, page):
        guest = int(machine.guests.tables[guest_table * at.TABLE_ENTRIES + place])
        assert guest & at.PRESENT, "a shadow entry is present, the guest's is not"
        is_leaf = level == 1 or guest & at.LARGE_PAGE != 0
        ppn = (guest >> at.PPN_SHIFT) & at.PPN_MASK
        child = shadow >> at.CHILD_SHIFT
        if child and not is_leaf:
            assert int(machine.shadow.page[child, GUEST_TABLE]) == guest >> at.CHILD_SHIFT, "it leads to another table"
            continue
        assert is_leaf, "a shadow entry maps what the guest's does not"
        whole = _Leaf(vm, level, shadow, guest, level, ppn)
        yield from _pieces(machine, child, whole, pieces) if child else [whole]


def _pieces(machine: at.Machine, page: int, whole: _Leaf, pieces: set[int]) -> Iterator[_Leaf]:
    pieces.add(page)
    level = whole.level - 1
    assert int(machine.shadow.page[page, LEVEL]) == level, "pieces are of another level"
    for place, shadow in _present(machine, page):
        part = whole._replace(level=level, shadow=shadow, ppn=whole.ppn + place * pages_of_level(level))
        child = shadow >> at.CHILD_SHIFT
        yield from _pieces(machine, child, part, pieces) if child else [part]


def _check_leaf(host: HostPlan, machine: at.Machine, leaf: _Leaf) -> int:
    """Return the gpid in whose chain of mappers a leaf stands."""
    gpid = host.vms[leaf.vm].base + leaf.ppn
    frame = (leaf.shadow >> at.PPN_SHIFT) & at.PPN_MASK
    assert int(machine.host.pmap[gpid]) >> at.MPN_SHIFT == frame, "a shadow entry leads to another frame"
    both = at.WRITABLE | at.DIRTY
    assert not leaf.shadow & at.WRITABLE or leaf.guest & both == both, "a shadow entry lets more write than the guest's"
    level = min(leaf.guest_level, _host_level(host, machine, leaf.vm, leaf.ppn))
    assert leaf.level == level, "a shadow entry is not as large as the smaller of both pages"
    return gpid


def _host_level(host: HostPlan, machine: at.Machine, vm: int, ppn: int) -> int:
    offsets = host.vms[vm].ept_offsets
    large = [level for level, first in offsets.items() if machine.host.ept[first + ppn // pages_of_level(level)] < 0]
    return max(large, default=1)


def _present(machine: at.Machine, page: int) -> list[tuple[int, int]]:
    """Return the present entries of a shadow page with their places."""
    entries = machine.shadow.entries.reshape(-1, at.TABLE_ENTRIES)[page]
    return [(int(place), int(entries[place])) for place in np.flatnonzero(entries & at.PRESENT)]


def _is_of_pieces(machine: at.Machine, page: int) -> bool:
    return bool(machine.shadow.page[page, LEAF_LEVEL] > machine.shadow.page[page, LEVEL])


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
