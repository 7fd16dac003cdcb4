"""Guests that walk fewer than four levels count what the naive oracle counts, on random machines."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from machines import Case, cases, examples
from oracle import tiny
from test_engine_equals_oracle import differences, figures_of_engine, figures_of_oracle, in_one_loop, of_oracle

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import PAGE_BYTES, Phase, Vm, Workload
from vmcfg.trace import Tracer, steps

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


def test_a_walk_without_paging_is_shown_as_the_hosts_alone() -> None:
    """Four references, all of the host's table, to find the page itself; stores find D set by their own walk."""
    vm = evolve(tiny.vm(backing="at_start"), table_levels=0, memory_pages=2000)
    access = Tracer(compile_plan(tiny.scenario(vm, runs=tiny.workload(tiny.phase(accesses=4))))).access(2)
    assert access is not None
    assert [4, 3, 2, 1] == [each.level for each in access.all(steps.Reference)]
    assert ["the page"] == [each.of for each in access.all(steps.HostWalk)]
    assert tiny.BASE_VPN + 1 == access.all(steps.HostWalk)[0].ppn


def check_equal(case: Case) -> None:
    """The engine's figures are the oracle's, and every walk reads host tables only if there are no others."""
    engine = figures_of_engine(simulate(compile_plan(case.scenario), check_invariants=True, jobs=1))
    assert {} == differences(figures_of_oracle(case, of_oracle(case)), engine)


def without_paging(case: Case) -> Case:
    """The case with its guests' paging off: regions lie in their memory one by one, nothing else happens."""
    workloads = tuple(quiet(workload) for workload in case.scenario.workloads)
    end = max(region.base_vpn + region.pages for workload in workloads for region in workload.regions)
    vms = tuple(unpaged(vm, end) for vm in case.scenario.vms)
    hosts = tuple(evolve(host, memory_pages=host.memory_pages + end * len(vms) + SPARE) for host in case.scenario.hosts)
    return Case(evolve(case.scenario, vms=vms, hosts=hosts, workloads=workloads), {})


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
    return evolve(
        vm, table_levels=0, memory_pages=pages, populate="on_touch", zero_on_fault=True, kpti=False,
        page_size=PAGE_BYTES,
    )
