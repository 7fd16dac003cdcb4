"""What each flush drops, of all that a core can hold: the sets that the processor's manual names, as a table.

Two guests of two processes each have filled every cache of one core, by two regions that lie apart and by the global
pages of their kernels. Each row drops just the parts that it names, all of them the first guest's but for "other VM".
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import evolve
from oracle import tiny
from running import machines_of, run_to_the_end

from vmcfg.guest.flushing import flush
from vmcfg.guest.switching import invalidate_page, reload
from vmcfg.hardware.core import (
    GUEST_WALK,
    HIGHEST_WALK,
    L2,
    NESTED_TLB,
    STORES,
    drop_guest_physical,
    drop_linear,
    flush_combined,
)
from vmcfg.hardware.sets import KEY_SHIFT, SPACE_SHIFT
from vmcfg.hardware.stores import held
from vmcfg.jit import by_reference, entry
from vmcfg.metrics.events import Event
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import (
    DataCache,
    DataCaches,
    GuestEvent,
    Mixture,
    Mmu,
    Part,
    Pattern,
    Region,
    Scenario,
    ShadowPaging,
)
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import invalidate
from vmcfg.workload import fields as work

INVPCID, INVLPG, PAGE_FAULT, EPT_VIOLATION, INVEPT, UNTAGGED_EXIT = range(6)
OWN = {"page", "other pages", "way", "other ways"}
LINEAR = OWN | {"other process", "other process's page", "globals"}
NEXT = {"other process", "other process's page"}
DROPS = {
    "INVPCID 0": (INVPCID, work.FLUSH_PAGE, False, {"page", "way"}),
    "INVPCID 0 of another": (INVPCID, work.FLUSH_PAGE, True, {"other process's page"}),
    "INVPCID 1": (INVPCID, work.FLUSH_PROCESS, False, OWN),
    "INVPCID 1 of another": (INVPCID, work.FLUSH_PROCESS, True, NEXT),
    "INVPCID 2": (INVPCID, work.FLUSH_ALL_WITH_GLOBALS, False, LINEAR),
    "INVPCID 3": (INVPCID, work.FLUSH_ALL, False, OWN | NEXT),
    "INVLPG": (INVLPG, 0, False, {"page", "way", "other ways"}),
    "page fault": (PAGE_FAULT, 0, False, {"page", "way"}),
    "EPT violation": (EPT_VIOLATION, 0, False, {"physical way"}),
    "INVEPT": (INVEPT, 0, False, LINEAR | {"physical way", "physical"}),
    "exit without VPID": (UNTAGGED_EXIT, 0, False, LINEAR | {"other VM"}),
}
WHOLE = {"page", "other pages", "way", "other ways", "globals"}
INVVPID = {  # under shadow paging, where one process is loaded and VPIDs keep what it holds over exits
    "INVVPID 0, for an INVLPG": (False, (1, 0), {"page", "way", "other ways"}),
    "INVVPID 1, for a load of CR3": (True, (0, 1), WHOLE),
}
FIRST, SECOND = 0x400, 0x400 + (3 << 18)  # first pages of two regions, some GiB apart
PAGES = 4
CACHES = {level: tiny.cache(64) for level in (2, 3, 4)}


def filled() -> Scenario:
    """Everything is there from the start, so nothing is dropped; PCIDs and VPIDs keep what others have."""
    cpu = tiny.processor(
        l1_tlb=tiny.cache(64), l1_itlb=tiny.cache(4), l2_tlb=tiny.cache(64), guest_walk_caches=CACHES,
        host_walk_caches=CACHES, nested_tlb=tiny.cache(64), data_caches=DataCaches(DataCache(64, 1, 2), None, None, 30),
    )  # fmt: skip
    on = tiny.host(cpu=cpu, quantum_ns=20_000, mmu=Mmu("nested", 4096, vpid=True, pcid=True))
    events = (GuestEvent("context_switch", 50, 1), GuestEvent("syscall", 20, 1, kernel_pages=2))
    parts = tuple(Part(1, Pattern("uniform", region)) for region in (0, 1))
    phase = tiny.phase(pattern=Mixture("mixture", -1, parts=parts), accesses=500, events=events)
    regions = (Region("r", FIRST, PAGES), Region("s", SECOND, PAGES))
    runs = evolve(tiny.workload(phase), regions=regions, processes=2, max_processes=2)
    vms = (tiny.vm_at_start(name, kernel_pages=2) for name in "ab")
    return tiny.scenario(*vms, on=on, runs=runs, run=tiny.timing(slice_ns=5000))


@pytest.mark.parametrize("name", DROPS)
def test_a_flush_drops_its_set_and_nothing_else(name: str) -> None:
    """Every part was held before; those of the set are gone afterwards, and of the others nothing is."""
    kind, what, is_next, expected = DROPS[name]
    [(host, machine)] = machines_of(filled())
    run_to_the_end(host, machine)
    before = list(parts_held(host, machine))
    assert LINEAR | {"physical way", "physical", "other VM", "other VM, physical"} == {part for part, _ in before}
    execute(machine, kind, what, is_next)
    after = set(parts_held(host, machine))
    assert expected == {part for part, place in before if (part, place) not in after}
    assert not {part for part, _ in after} & expected


@pytest.mark.parametrize("name", INVVPID)
def test_a_vmm_drops_for_its_guest_what_that_does_not_execute(name: str) -> None:
    """An INVLPG or load of CR3 that exits drops nothing by itself; INVVPID does, of this VM, and is counted."""
    is_load, counted, expected = INVVPID[name]
    plain = filled()
    mmu = Mmu("shadow", 4096, vpid=True, shadow=ShadowPaging("cached", False, False, 0, 3))
    (on,), (runs,) = plain.hosts, plain.workloads
    phase = evolve(runs.phases[0], events=runs.phases[0].events[1:])
    runs = evolve(runs, processes=1, max_processes=1, phases=(phase,))
    [(host, machine)] = machines_of(evolve(plain, hosts=(evolve(on, mmu=mmu),), workloads=(runs,)))
    run_to_the_end(host, machine)
    before = list(parts_held(host, machine))
    assert WHOLE | {"other VM"} == {part for part, _ in before}
    row = machine.counters[int(machine.vcpu[0, at.ROW])]
    already = row[Event.INVVPIDS_ADDRESS], row[Event.INVVPIDS_CONTEXT]
    ask_to_drop(machine, is_load)
    after = set(parts_held(host, machine))
    assert expected == {part for part, place in before if (part, place) not in after}
    assert counted == (row[Event.INVVPIDS_ADDRESS] - already[0], row[Event.INVVPIDS_CONTEXT] - already[1])


@entry
def ask_to_drop(machine, is_load):  # type: ignore[no-untyped-def]
    """Let vCPU 0 load CR3 again, or execute INVLPG of the first page."""
    m = by_reference(machine)
    if is_load:
        reload(m, 0, 0)
    else:
        invalidate_page(m, 0, 0, FIRST, 1)


@entry
def execute(machine, kind, what, is_next):  # type: ignore[no-untyped-def]
    """Let vCPU 0 do what drops: by an event of the first phase that concerns the first page, or by itself."""
    m = by_reference(machine)
    m.work.events[0, work.EVENT_WHAT], m.work.events[0, work.EVENT_OF_NEXT] = what, is_next
    m.work.events[0, work.EVENT_VPN], m.work.events[0, work.EVENT_REGION] = FIRST, PAGES
    m.work.events[0, work.EVENT_PAGES] = 1
    if kind == INVPCID:
        flush(m, 0, 0, 0, 0)
    elif kind == INVLPG:
        invalidate_page(m, 0, 0, FIRST, 1)
    elif kind == PAGE_FAULT:
        drop_linear(m.stores, 0, m.vcpu[0, at.PROCESS], FIRST, 9, m.cost[at.IS_LEAN] != 0)
    elif kind == EPT_VIOLATION:
        root = m.guests.process[m.vcpu[0, at.PROCESS], at.ROOT_PPN]
        drop_guest_physical(m.stores, 0, 0, root, m.cost[at.IS_LEAN] != 0)
    elif kind == INVEPT:
        invalidate(m, 0)
    else:
        flush_combined(m.stores, 0)


def parts_held(host: HostPlan, machine: at.Machine) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield each entry of the core's caches, as (what part it is of what the core can hold, (cache, its tag))."""
    loaded = int(machine.vcpu[0, at.PROCESS])
    root = int(machine.guests.process[loaded, at.ROOT_PPN])
    for cache in range(STORES):
        for tag in [each.tag for each in held(machine.stores, cache)]:
            space, key = tag >> SPACE_SHIFT, (tag & (1 << SPACE_SHIFT) - 1) >> KEY_SHIFT
            is_physical = cache == NESTED_TLB or cache > GUEST_WALK + HIGHEST_WALK
            if is_physical:
                level = 1 if cache == NESTED_TLB else cache - GUEST_WALK - 4
                yield _part_of_memory(space, key == root >> 9 * (level - 1)), (cache, tag)
            else:
                level = 1 if cache <= L2 else cache - GUEST_WALK
                yield _part_of_space(machine, space, loaded, key == FIRST >> 9 * (level - 1), level), (cache, tag)


def _part_of_memory(vm: int, is_on_way: bool) -> str:
    if vm:
        return "other VM, physical"
    return "physical way" if is_on_way else "physical"


def _part_of_space(machine: at.Machine, space: int, loaded: int, is_on_way: bool, level: int) -> str:
    guest = machine.guests.vm[0]
    if space == int(guest[at.GLOBAL_SPACE]):
        return "globals"
    if not 0 <= space - int(guest[at.FIRST_PROCESS]) < int(guest[at.SLOTS]):
        return "other VM"
    if space != loaded:
        return "other process's page" if is_on_way else "other process"
    if level == 1:
        return "page" if is_on_way else "other pages"
    return "way" if is_on_way else "other ways"
