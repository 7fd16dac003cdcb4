"""Guests that walk fewer than four levels count what the naive oracle counts, on random machines."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest
from attrs import evolve
from engine.workloads import BASES
from hypothesis import given
from machines import Case, cases, examples
from oracle import tiny
from running import machines_of, run_to_the_end
from test_engine_equals_oracle import differences, figures_of_engine, figures_of_oracle, in_one_loop, of_oracle
from test_taking_pages_away import take_away

from vmcfg.engine import loop, simulate
from vmcfg.metrics.events import EXIT_COUNT, Event, Exit
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import PAGE_BYTES, GuestEvent, Phase, Vm, Workload
from vmcfg.trace import Tracer, steps
from vmcfg.vmm import machine as at

GIB = 1 << 18  # in pages
IN_32_BITS = dict(zip(BASES, (*BASES[:4], 2 * GIB - 5, GIB + 0x5000, 3 * GIB - 3100), strict=True))
SPARE = 12_000  # frames beyond what a host needs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


@pytest.mark.slow
def test_a_guest_without_paging_counts_what_the_oracle_counts(folder: Path) -> None:
    """Whatever the host's tables, page sizes and caches are: the host's dimension is all there is."""

    @given(cases(folder, ("nested",)).map(in_one_loop).map(without_paging))
    @examples(40)
    def is_equal(case: Case) -> None:
        check_equal(case)

    is_equal()


@pytest.mark.slow
def test_a_guest_with_pae_counts_what_the_oracle_counts(folder: Path) -> None:
    """The oracle's vCPUs keep what their last load of CR3 has read: no guest may leave one with an entry missing."""

    @given(cases(folder, ("nested",)).map(in_one_loop).map(lambda case: of_32_bits(case, 3)))
    @examples(60)
    def is_equal(case: Case) -> None:
        check_equal(case)

    is_equal()


@pytest.mark.slow
def test_a_guest_of_two_levels_counts_what_the_oracle_counts(folder: Path) -> None:
    """Its tables of 1,024 entries lie in a page each, and are copied, torn down and used again like all others."""

    @given(cases(folder, ("nested",)).map(in_one_loop).map(lambda case: of_32_bits(case, 2)))
    @examples(60)
    def is_equal(case: Case) -> None:
        check_equal(case)

    is_equal()


def test_a_walk_without_paging_is_shown_as_the_hosts_alone() -> None:
    """Four references, all of the host's table, to find the page itself; stores find D set by their own walk."""
    vm = evolve(tiny.vm(backing="at_start"), table_levels=0, memory_pages=2000)
    access = Tracer(compile_plan(tiny.scenario(vm, runs=tiny.workload(tiny.phase(accesses=4))))).access(2)
    assert access is not None
    assert [4, 3, 2, 1] == [each.level for each in access.all(steps.Reference)]
    assert ["the page"] == [each.of for each in access.all(steps.HostWalk)]
    assert tiny.BASE_VPN + 1 == access.all(steps.HostWalk)[0].ppn


def test_a_new_entry_of_paes_root_is_seen_by_all_who_run_the_process() -> None:
    """Two vCPUs go through pages of one GiB: whoever is there first has both load CR3, and interrupts the other."""
    vm = evolve(tiny.vm(vcpus=2), table_levels=3)
    on = tiny.host(cores=2)
    ((host, machine),) = machines_of(tiny.scenario(vm, on=on, runs=tiny.workload(tiny.phase(accesses=4))))
    run_to_the_end(host, machine)
    total = machine.counters.sum(axis=0)
    assert (2, 1) == (total[Event.CR3_LOADS], total[Event.SHOOTDOWNS])


def test_a_load_of_cr3_meets_the_vmm_where_paes_root_has_no_frame() -> None:
    """Walks go by the registers, and miss nothing while the root's page is away; the next load of CR3 reads it."""
    switch = GuestEvent("context_switch", 10, 1)
    runs = evolve(tiny.workload(tiny.phase(accesses=25, events=(switch,))), processes=2, max_processes=2)
    vm = evolve(tiny.vm_at_start(), table_levels=3)
    ((host, machine),) = machines_of(tiny.scenario(vm, runs=runs))
    exits = []
    for touches in (4, 14, 24):
        loop.run(machine, host.run_end, 0, touches)
        exits.append(int(machine.counters[:, EXIT_COUNT + Exit.EPT_VIOLATION_TABLE].sum()))
        if touches == 4:
            take_away(machine, 0, machine.guests.process[:2, at.ROOT_PPN].copy())
    assert [0, 1, 2] == exits


def check_equal(case: Case) -> None:
    """The engine's figures are the oracle's, and every walk reads host tables only if there are no others."""
    engine = figures_of_engine(simulate(compile_plan(case.scenario), check_invariants=True, jobs=1))
    assert {} == differences(figures_of_oracle(case, of_oracle(case)), engine)


def without_paging(case: Case) -> Case:
    """The case with its guests' paging off: regions lie in their memory one after the other, and nothing happens."""
    workloads = tuple(quiet(workload) for workload in case.scenario.workloads)
    end = max(region.base_vpn + region.pages for workload in workloads for region in workload.regions)
    vms = tuple(unpaged(vm, end) for vm in case.scenario.vms)
    hosts = tuple(evolve(host, memory_pages=host.memory_pages + end * len(vms) + SPARE) for host in case.scenario.hosts)
    return Case(evolve(case.scenario, vms=vms, hosts=hosts, workloads=workloads), {})


def of_32_bits(case: Case, levels: int) -> Case:
    """The case with guests of so many levels, 3 for PAE: regions near the same borders, in 32 bits, and no traces."""
    workloads = tuple(
        evolve(
            workload,
            regions=tuple(evolve(region, base_vpn=IN_32_BITS[region.base_vpn]) for region in workload.regions),
            phases=tuple(without_trace(phase if levels == 3 else small(phase)) for phase in workload.phases),
        )
        for workload in case.scenario.workloads
    )
    most, has_kpti = ((2 << 20), True) if levels == 3 else (PAGE_BYTES, False)
    vms = tuple(
        evolve(vm, table_levels=levels, page_size=min(vm.page_size, most), kpti=vm.kpti and has_kpti)
        for vm in case.scenario.vms
    )
    hosts = tuple(evolve(host, memory_pages=host.memory_pages + SPARE) for host in case.scenario.hosts)
    return Case(evolve(case.scenario, vms=vms, hosts=hosts, workloads=workloads), {})


def small(phase: Phase) -> Phase:
    """The phase without events that make large pages, of which tables of 1,024 entries know none."""
    return evolve(phase, events=tuple(event for event in phase.events if event.kind != "collapse"))


def quiet(workload: Workload) -> Workload:
    """One process without events, which replays nothing, in regions that begin where the largest kernel ends."""
    ends = accumulate((region.pages for region in workload.regions), initial=13)
    regions = tuple(evolve(region, base_vpn=first) for region, first in zip(workload.regions, ends, strict=False))
    phases = tuple(without_trace(evolve(phase, events=())) for phase in workload.phases)
    return Workload(workload.name, regions, phases)


def without_trace(phase: Phase) -> Phase:
    """The phase with its region in turn in place of a trace, and with an end that the trace may have been."""
    if not phase.trace:
        return phase
    return evolve(phase, pattern=tiny.phase().pattern, trace=None, accesses=phase.accesses or 30)


def unpaged(vm: Vm, end: int) -> Vm:
    """The VM with all of its workload's pages, and some more."""
    pages = max(vm.memory_pages, end)
    plain = evolve(vm, table_levels=0, memory_pages=pages, populate="on_touch")
    return evolve(plain, zero_on_fault=True, kpti=False, page_size=PAGE_BYTES)
