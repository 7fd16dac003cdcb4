"""The VMM takes pages away that its shadow tables map: no entry is left, and each fills again when it is touched."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from attrs import evolve
from engine.hosts import shadow_paging
from hypothesis import given
from hypothesis import strategies as st
from machines import examples
from oracle import tiny
from running import machines_of
from test_taking_pages_away import Round, pages_touched, retired, rounds, take_away, take_some_away, until

from vmcfg.engine import loop
from vmcfg.engine.invariants import check_machine
from vmcfg.hardware.core import L1, L2
from vmcfg.hardware.stores import held
from vmcfg.metrics.events import EXIT_COUNT, Exit
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import (
    SHARED,
    DataCache,
    DataCaches,
    GuestEvent,
    LargeTlbs,
    Mmu,
    Scenario,
    ShadowPaging,
)
from vmcfg.vmm import machine as at

EVENTS = (
    GuestEvent("munmap", 7, 1, region=0, pages=2),
    GuestEvent("mprotect", 5, 1, region=0, pages=3, to="read"),
    GuestEvent("fork", 31, 1),
    GuestEvent("exit", 47, 1),
    GuestEvent("context_switch", 11, 1),
)


@st.composite
def machines(draw: Any, events: tuple[GuestEvent, ...] = ()) -> Scenario:
    """Two VMs of some pages, all of them mapped and backed; what they access they write.

    With events either side may have pages of 2 MiB, which the taking of any part splits. Some guests do little, so that
    theirs stay whole.
    """
    caches = DataCaches(DataCache(64, 1, 2), None, None, 30)
    cpu = tiny.processor(l1_tlb=tiny.cache(8), l1_itlb=tiny.cache(1), data_caches=caches)  # the loop of other tests
    size, guest_size = (draw(st.sampled_from((4 << 10, 2 << 20))) if events else 4 << 10 for _ in range(2))
    mmu = Mmu("shadow", size, draw(st.booleans()), shadow=draw(shadow_paging()), table_page_size=size)
    cpu = evolve(cpu, large_tlbs=LargeTlbs(l1_2m=SHARED, l1_1g=None, l2_2m=None, l2_1g=None))
    events = draw(st.sampled_from((events, events[-1:])))
    phase = tiny.phase("sequential", accesses=400, write_ppm=1_000_000, events=events)
    runs = evolve(tiny.workload(phase, pages=draw(st.integers(2, 40))), max_processes=3 if events else 1)
    vms = tuple(tiny.vm_at_start(name, memory_pages=2048, page_size=guest_size) for name in "ab")
    return tiny.scenario(*vms, on=tiny.host(cpu=cpu, mmu=mmu), runs=runs, run=tiny.timing(slice_ns=9000))


@given(machines(), st.lists(rounds, min_size=1, max_size=5))
@examples(20)
def test_exactly_the_touched_pages_take_a_hidden_fault(scenario: Scenario, plan: list[Round]) -> None:
    """One for each page of data that was taken away, and touched; not for tables, whose shadows still stand."""
    [(host, machine)] = machines_of(scenario)
    for vcpu in range(2):  # each page is written once, which is what the shadow was waiting for
        loop.run(machine, host.run_end, vcpu, scenario.workloads[0].regions[0].pages)
    settled = hidden_faults(host, machine)
    missing: list[set[int]] = [set(), set()]
    expected = list(settled)
    for step in [*plan, None]:
        before = retired(machine)
        loop.run(machine, host.run_end, *((step.vcpu % 2, until(machine, host, step)) if step else ()))
        for vm, touched in enumerate(pages_touched(scenario, host, machine, before)):
            back = {ppn for ppn in missing[vm] if touched.get(ppn) == "data"}
            missing[vm] -= back
            expected[vm] += len(back)
        assert expected == hidden_faults(host, machine)
        if step:
            missing[step.vm] |= take_some_away(host, machine, step.vm, step)
        check_machine(host, machine)


@given(machines(EVENTS), st.lists(rounds, min_size=2, max_size=8))
@examples(20)
def test_no_entry_leads_to_a_frame_that_was_taken_away(scenario: Scenario, plan: list[Round]) -> None:
    """Whatever the guests do in between: shadows agree with their tables, and TLBs with shadows."""
    [(host, machine)] = machines_of(scenario)
    for step in plan:
        loop.run(machine, host.run_end, step.vcpu % 2, until(machine, host, step))
        first, pages = host.vms[step.vm].base, host.vms[step.vm].vm.memory_pages
        backed = np.flatnonzero(machine.host.pmap[first : first + pages] & at.KIND_MASK == at.PRIVATE)
        taken = Random(step.seed).sample(backed.tolist(), -(-len(backed) * step.share // 100))
        take_away(machine, step.vm, np.array(taken, np.int64))
        check_machine(host, machine)
        assert [] == [frame for frame in frames_in_tlbs(machine) if machine.host.kind[frame] != at.FRAME_PRIVATE]
        loop.run(machine, host.run_end, step.vcpu % 2, until(machine, host, step))
        check_machine(host, machine)
        assert [] == [frame for frame in frames_in_tlbs(machine) if machine.host.kind[frame] != at.FRAME_PRIVATE]


def test_a_frame_that_two_processes_map_is_dropped_by_both() -> None:
    """A process and its child read the same pages, by a shadow table each: in drawn machines few frames have two."""
    events = GuestEvent("fork", 100, 1), GuestEvent("context_switch", 30, 1)
    runs = tiny.workload(tiny.phase("sequential", accesses=400, events=events), pages=20)
    mmu = Mmu("shadow", 4096, True, shadow=ShadowPaging("cached", False, False, 0, 3))
    scenario = tiny.scenario(tiny.vm_at_start(), on=tiny.host(mmu=mmu), runs=evolve(runs, processes=1, max_processes=2))
    [(host, machine)] = machines_of(scenario)
    loop.run(machine, host.run_end, 0, 150)
    frames = machine.host.pmap[: host.vms[0].vm.memory_pages] >> at.MPN_SHIFT
    taken = np.flatnonzero([len(mappers(machine, frame)) == 2 for frame in frames])
    assert len(taken) == 20
    take_away(machine, 0, taken)
    assert [] == [frame for frame in frames[taken] if mappers(machine, frame)]
    check_machine(host, machine)


def mappers(machine: at.Machine, frame: int) -> list[int]:
    """Return the places of the shadow entries that map a frame."""
    entries = machine.shadow.entries
    is_leaf = (entries & at.PRESENT != 0) & (entries >> at.CHILD_SHIFT == 0)
    places: list[int] = np.flatnonzero(is_leaf & (entries >> at.PPN_SHIFT & at.PPN_MASK == frame)).tolist()
    return places


def hidden_faults(host: HostPlan, machine: at.Machine) -> list[int]:
    """By VM, over all of its rows."""
    column = EXIT_COUNT + Exit.HIDDEN_FAULT
    return [int(machine.counters[vm.first_row : vm.first_row + vm.phases + 1, column].sum()) for vm in host.vms]


def frames_in_tlbs(machine: at.Machine) -> list[int]:
    """Return the frame of each entry of the one core's TLBs."""
    return [entry.payload for tlb in range(L1, L2 + 1) for entry in held(machine.stores, tlb)]
