"""Random small scenarios: every switch of the machine that this version has, in combinations nobody would write.

Times are drawn in cycles and small: a slice is some tens or hundreds of them, a touch costs one or a few thousand,
and a second may be a thousand cycles long, so that a vCPU can come to be late by more than one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve
from engine.guests import KERNEL_VPN, all_events, kernel_tables, most_vcpus, operations, with_power
from engine.hosts import PAGE_SIZES, some_hosts, with_large_pages
from engine.workloads import BASES, Records, WrittenTrace, nanoseconds, some_phases, some_regions, some_runs, traces_in
from hypothesis import settings
from hypothesis import strategies as st
from oracle import tiny

from vmcfg.scenario.spec import PAGE_BYTES, Host, Region, Scenario, Vm, Workload

TABLE_ENTRIES = 512
HZ = (1000, 99_991, 1_000_000, 1_000_000_000, 3_500_000_001)
MOST_PAGES = 4000  # of a guest with large pages
EVENT_PAGES = 200  # that one event takes at most: a fork the tables of some regions and of two traces
LONG = 1000


class Case(NamedTuple):
    """A scenario and what its traces hold, by the name of the file."""

    scenario: Scenario
    traces: Mapping[str, Records]


def examples(count: int) -> settings:
    """Return settings for `count` examples, or for as many as the environment asks for."""
    return settings(max_examples=int(os.environ.get("VMCFG_FUZZ") or os.environ.get("VMCFG_EXAMPLES") or count))


@st.composite
def cases(draw: Any, folder: Path, modes: tuple[str, ...] = ("native", "nested"), focus: str = "") -> Case:
    """A scenario of one or two hosts, one to four VMs and one or two workloads; its trace files lie in `folder`.

    The focus makes sure of what is rare: `large` pages on both sides, or `kernels` that run on several vCPUs.
    """
    hz = draw(st.sampled_from(HZ))
    run = draw(some_runs(hz))
    is_bounded = not run.to_the_end
    traces = {record.file: record for record in draw(st.lists(traces_in(folder), max_size=2))}
    regions = (Region("r0", BASES[1], 600),) if focus == "large" else draw(some_regions())
    workloads = tuple(
        Workload(name, regions, draw(some_phases(hz, regions, [trace.spec for trace in traces.values()], is_bounded)))
        for name in ("w", "x")[: draw(st.integers(1, 2))]
    )
    if focus or draw(st.booleans()):
        has_kernel_half = all(vpn < KERNEL_VPN for trace in traces.values() for vpn, _ in trace.records)
        may = focus != "kernels", "shadow" not in modes
        workloads = tuple(draw(operations(workload, has_kernel_half, *may)) for workload in workloads)
        run = evolve(run, epoch_ns=run.epoch_ns * LONG)  # a fork of many pages lasts a thousand slices
    hosts = tuple(
        evolve(draw(some_hosts(hz, modes)), name=name) for name in ("h", "i")[: draw(st.sampled_from((1, 1, 1, 2)))]
    )
    if focus == "large":
        hosts = tuple(draw(with_large_pages(host)) for host in hosts)
    vms = tuple(
        draw(_vms(name, draw(st.sampled_from(hosts)), draw(st.sampled_from(workloads)), traces, hz))
        for name in ("a", "b", "c", "d")[: draw(st.integers(1, 4))]
    )
    places = [(vm, host) for vm in vms for host in hosts if vm.host == host.name]
    workloads = tuple(draw(with_power(workload, places)) for workload in workloads)
    slack = draw(st.sampled_from((0, 1, 700)))
    slack += 1100 * any(host.mmu.promotion is not None for host in hosts)  # a block of frames, wherever it begins
    taken_at_once = EVENT_PAGES if any(list(all_events(workload)) for workload in workloads) else 0
    hosts = tuple(evolve(host, memory_pages=_frames(host, vms, taken_at_once) + slack) for host in hosts)
    plain = tiny.scenario(vms[0], run=run, seed=draw(st.integers(0, 3)))
    scenario = evolve(plain, hosts=hosts, vms=vms, workloads=workloads)
    return Case(scenario, {trace.file: trace.records for trace in traces.values()})


@st.composite
def _vms(draw: Any, name: str, host: Host, workload: Workload, traces: Mapping[str, WrittenTrace], hz: int) -> Vm:
    plain = tiny.vm(
        name=name,
        host=host.name,
        workload=workload.name,
        kernel_pages=draw(st.sampled_from((1, 13) if workload.kernel_accesses else (0, 1, 13))),
        table_levels=draw(st.sampled_from((4, 4, 5))),
        kpti=draw(st.booleans()),
        pcids=draw(st.sampled_from((1, 2, 6))),
    )
    if host.cpu.large_tlbs and not any(region.is_shared for region in workload.regions):
        large = evolve(plain, page_size=draw(st.sampled_from(PAGE_SIZES[1:])))
        plain = large if _guest_pages(large, workload, traces) <= MOST_PAGES else plain
    needed = _guest_pages(plain, workload, traces)
    is_large = max(host.mmu.page_size, host.mmu.table_page_size, plain.page_size) > PAGE_BYTES
    is_large |= workload.collapses or host.mmu.promotion is not None
    spare = (1200, 600, 5) if is_large else (0, 1, 5, 600)
    return evolve(
        plain,
        memory_pages=plain.kernel_pages + needed + draw(st.sampled_from(spare)),
        vcpus=draw(st.integers(1, most_vcpus(workload))),
        start_ns=draw(st.just(0) | st.integers(0, 6000).map(lambda cycles: nanoseconds(cycles, hz))),
        populate=draw(st.sampled_from(("on_touch", "at_start"))),
        backing="at_start" if host.mmu.mode == "native" else draw(st.sampled_from(("on_touch", "at_start"))),
        zero_on_fault=host.mmu.mode == "shadow" or draw(st.booleans()),
    )


def _guest_pages(vm: Vm, workload: Workload, traces: Mapping[str, WrittenTrace]) -> int:
    """Count the pages that processes come to need at most: their data, the tables above them, roots; old ones too.

    A guest with large pages takes 2 MiB for each that holds any.
    """
    vpns = {region.base_vpn + page for region in workload.regions for page in range(region.pages)}
    vpns |= {vpn for phase in workload.phases if phase.trace for vpn, _ in traces[phase.trace.file].records}
    roots = 1 + vm.kpti
    data = len(vpns) if vm.page_size == PAGE_BYTES else TABLE_ENTRIES * len(_groups(vpns, 1))
    of_one = data + roots + sum(len(_groups(vpns, level)) for level in range(1, vm.table_levels))
    old_roots = roots if any(event.kind == "exec" for event in all_events(workload)) else 0
    return of_one * workload.max_processes + old_roots + kernel_tables(vm, workload)


def _groups(pages: Iterable[int], level: int) -> set[int]:
    return {page >> 9 * level for page in pages}


def _frames(host: Host, vms: tuple[Vm, ...], taken_at_once: int) -> int:
    """Count the frames that suffice exactly when every page of every VM comes to be backed.

    Before an access begins, and an event that takes so many pages, there must be frames for all the host tables that it
    could ever need.
    """
    own = [vm for vm in vms if vm.host == host.name]
    frames = sum(vm.memory_pages for vm in own)
    if host.mmu.mode == "native":
        return max(1, frames)
    if host.mmu.mode == "shadow":  # no more shadows than there can be guest tables, for each vCPU
        shadows = sum(vm.vcpus * min(vm.memory_pages, EVENT_PAGES) for vm in own) + EVENT_PAGES + 2 * 5 + 1
        return frames + shadows + 3 * TABLE_ENTRIES * any(vm.page_size > PAGE_BYTES for vm in own)
    levels = host.mmu.host_levels
    more = {PAGE_BYTES: 0}  # of 2 MiB all other pages too
    needs = (max(vm.table_levels + 1, taken_at_once) * levels + more.get(vm.page_size, 511) for vm in own)
    reserve = max(needs) if own else 0
    return frames + sum(_host_tables(vm, levels) for vm in own) + max(1, reserve)


def _host_tables(vm: Vm, levels: int) -> int:
    """Count the frames of a VM's host tables: a flat one has no root above its entries."""
    above = range(1, max(2, levels))
    return sum(-(-vm.memory_pages // TABLE_ENTRIES**level) for level in above) + (levels > 1)
