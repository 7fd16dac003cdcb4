"""Plan → Paging: disks, swap areas and layers of pages that can leave memory; and the decisions that policy takes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from vmcfg.allocation import watermarks
from vmcfg.allocation.fair import shares
from vmcfg.jit import pinned
from vmcfg.plan.model import HostPlan
from vmcfg.reclaim.layer import BESIDE, FIFO, LISTS, RESIDENT, Layer, new_layer
from vmcfg.reclaim.replacement import POLICIES
from vmcfg.rng import mixed_key
from vmcfg.scenario.spec import GuestReclaim, HostPaging, Watermarks
from vmcfg.vmm import devices, paging, swap
from vmcfg.vmm import machine as at
from vmcfg.vmm.reclaiming import NO_QUOTA, make_room, make_room_ahead, make_room_for


def paging_of(
    host: HostPlan, seed: int, zeros: Callable[[str], np.ndarray], pmap: np.ndarray, guests: at.Guests
) -> at.Paging:
    """Return what moves pages out of memory at t = 0; `zeros` allocates a planned array."""
    vms = len(host.vms)
    return at.Paging(
        rules=_rules(host),
        quota=np.zeros(vms, np.int64),
        device=_devices(host),
        area=_areas(host),
        slots=zeros("paging.slots"),
        flights=zeros("paging.flights"),
        marks=zeros("paging.marks"),
        next_uses=np.zeros(1, np.int64),
        host=_host_layer(host, seed, pmap),
        guest=_guest_layer(host, seed, guests),
    )


def told(how: HostPaging | GuestReclaim | None) -> int:
    """Return how a policy is told of every access, IN_ORDER or AHEAD; 0 if it is not."""
    if how is None or not how.is_told:
        return 0
    return paging.AHEAD if how.foresees else paging.IN_ORDER


def ask_below(host: HostPlan) -> int:
    """Return how many free frames an access must see to go on without a question: more than all beside a capacity."""
    has_capacity = host.paging is not None and host.paging.capacity_pages > 0
    return host.frames + 1 if has_capacity else host.reserve_frames


def allow(machine: at.Machine) -> bool:
    """Let a policy say which VMs are to give how many pages; tell whether it found any to take."""
    capacity, held = int(machine.paging.rules[paging.CAPACITY]), sum(held_pages(machine))
    if not machine.paging.rules[paging.PAGES] or (capacity and held < capacity):
        return False
    return _leave_quotas(machine, max(int(machine.host.counts[at.WANTED]), held >> ROUND))


class Ahead:
    """A host that keeps frames free by paging out before they are needed, by watermarks."""

    def __init__(self, machine: at.Machine, marks: Watermarks) -> None:
        self._machine = machine
        self._policy = watermarks.Watermarks(marks.start_below_frames, marks.stop_above_frames)

    def look(self) -> None:
        """Send out what the policy wants, counting what is on its way as free."""
        machine = self._machine
        area = machine.paging.area[swap.HOST_AREA]
        coming = int(machine.host.counts[at.FRAME_FREE] + area[swap.LAUNCHED] - area[swap.LANDED])
        wanted = self._policy.wanted(coming)
        if wanted and _leave_quotas(machine, wanted):
            make_room_ahead(pinned(machine), coming + wanted)


def held_pages(machine: at.Machine) -> list[int]:
    """Return how many pages can be taken from each VM."""
    held: list[int] = machine.paging.host.owners[:, RESIDENT : RESIDENT + LISTS].sum(axis=1).tolist()
    return held


def free_for(machine: at.Machine, vcpu: int, does_wait: bool = False) -> int:
    """Free the frames that something of a vCPU's guest WANTED, by policy: ENOUGH, WAITS, or NO_QUOTA for any more.

    What is done at a guest's time leaves the vCPU alone; one at the head of its queue may wait itself for what it asks.
    """
    if not machine.paging.rules[paging.PAGES]:
        return NO_QUOTA
    asked, for_whom = (make_room, vcpu % len(machine.core)) if does_wait else (make_room_for, vcpu)
    while (made := int(asked(pinned(machine), for_whom))) == NO_QUOTA and allow(machine):
        pass
    return made


def _leave_quotas(machine: at.Machine, wanted: int) -> bool:
    """Let VMs give fair parts of so many pages, as far as there are slots for them; tell whether any can be taken."""
    area = machine.paging.area[swap.HOST_AREA]
    quotas = shares(held_pages(machine), min(int(area[swap.SLOTS] - area[swap.USED]), wanted))
    machine.paging.quota[:] = quotas
    return any(quotas)


ROUND = 4  # a sixteenth of what can be taken is allowed at a time: then policy looks again


def _host_layer(host: HostPlan, seed: int, pmap: np.ndarray) -> Layer:
    """Return the layer of backed pages; hardware marks them in the pmap, where it knows of A bits there."""
    pages = _pages(host) if host.paging else [0] * len(host.vms)
    streams = [mixed_key(seed, f"{host.name}/victims/{vm.vm.name}") for vm in host.vms]
    policy = host.paging.victim if host.paging else "fifo"
    is_told = host.paging is not None and host.paging.is_told
    layer = new_layer(POLICIES[policy], pages, streams, pmap, 0 if is_told else at.HOST_ACCESSED)
    layer.settings[BESIDE] = at.CAME_ALONG
    return layer


def _guest_layer(host: HostPlan, seed: int, guests: at.Guests) -> Layer:
    """Return the layer of pages that guests map; hardware marks them in the guests' own page tables."""
    pages = _pages(host) if host.guests_reclaim else [0] * len(host.vms)
    streams = [mixed_key(seed, f"{vm.vm.name}/victims") for vm in host.vms]
    policies = [POLICIES[vm.vm.reclaim.victim] if vm.vm.reclaim else FIFO for vm in host.vms]
    return new_layer(policies, pages, streams, guests.tables, at.ACCESSED, guests.where)


def _pages(host: HostPlan) -> list[int]:
    """Return how many entries each VM's pages have in the host's arrays."""
    return [end - first for first, end in pairwise([*(vm.base for vm in host.vms), host.pages])]


def _rules(host: HostPlan) -> np.ndarray:
    rules = np.zeros(paging.RULES, np.int64)
    rules[paging.VMS] = len(host.vms)
    rules[[paging.RUN_FIRST, paging.RUN_END]] = swap.NO_SLOT
    if host.paging:
        rules[paging.PAGES] = 1
        rules[[paging.BATCH, paging.CLUSTER]] = host.paging.batch_pages, host.paging.cluster_slots
        rules[[paging.PREVENTS, paging.MAPS]] = host.paging.has_preventer, host.paging.has_mapper
        rules[paging.IS_TOLD] = told(host.paging)
        rules[paging.CAPACITY] = host.paging.capacity_pages
    return rules


def _devices(host: HostPlan) -> np.ndarray:
    rows = np.zeros((len(host.disks), devices.DEVICE_FIELDS), np.int64)
    for number, disk in enumerate(host.disks):
        figures = disk.seek, disk.latency, disk.bandwidth
        rows[number, [devices.SEEK, devices.LATENCY, devices.BANDWIDTH]] = figures
        rows[number, devices.HEAD] = -1  # the first request seeks
    return rows


def _areas(host: HostPlan) -> np.ndarray:
    rows = np.zeros((len(host.areas), swap.AREA_FIELDS), np.int64)
    for number, area in enumerate(host.areas):
        rows[number, [swap.DEVICE, swap.PLACE, swap.FIRST, swap.SLOTS]] = area.disk, area.place, area.first, area.slots
    return rows
