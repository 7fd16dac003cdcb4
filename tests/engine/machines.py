"""Random small scenarios: every switch of the machine that this version has, in combinations nobody would write.

Times are drawn in cycles and small: a slice is some tens or hundreds of them, a touch costs one or a few thousand,
and a second may be a thousand cycles long, so that a vCPU can come to be late by more than one.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve
from engine.guests import KERNEL_VPN, all_events, kernel_tables, most_vcpus, operations
from hypothesis import Phase as Stage
from hypothesis import settings
from hypothesis import strategies as st
from oracle import tiny

from vmcfg.scenario.spec import (
    PAGE_BYTES,
    SHARED,
    CacheShape,
    Cpu,
    DataCache,
    DataCaches,
    Host,
    LargeTlbs,
    Mixture,
    Mmu,
    Part,
    Pattern,
    Phase,
    Promotion,
    Rate,
    Region,
    Run,
    Scenario,
    ShadowPaging,
    Stride,
    Trace,
    Vm,
    Workload,
)

TABLE_ENTRIES = 512
HZ = (1000, 99_991, 1_000_000, 1_000_000_000, 3_500_000_001)
WAYS = (1, 1, 2, 3, 4, 6, 8, 12, 16, 17, 24, 33, 64)
SETS = (1, 1, 2, 3, 4, 5, 7, 16)
LEAN_WAYS = (1, 1, 2, 3, 4, 7, 12, 16)
LEAN_SETS = (1, 1, 2, 4, 8)
# Where regions begin: at 0, at the usual place, and a little before the ends of 2 MiB, 1 GiB, 512 GiB and of all.
BASES = (0, 0x400, 0x800 - 9, (1 << 18) - 7, (1 << 27) - 5, (1 << 27) + 0x5000, (1 << 36) - 3100)
MOST_PAGES = 4000  # of a guest with large pages
PAGE_SIZES = (4 << 10, 2 << 20, 1 << 30)
EVENT_PAGES = 200  # that one event takes at most: a fork the tables of some regions and of two traces
LONG = 1000
CHEAP = (0, 1, 2, 3, 10)
DEAR = (0, 7, 50, 200, 1009, 5000)

Records = list[tuple[int, int]]  # (vpn, kind)


class Case(NamedTuple):
    """A scenario and what its traces hold, by the name of the file."""

    scenario: Scenario
    traces: Mapping[str, Records]


def examples(count: int) -> settings:
    """Return settings for `count` examples, or for as many as the environment asks for.

    The gate does not shrink what fails: that takes minutes for whole machines. VMCFG_FUZZ does.
    """
    more = os.environ.get("VMCFG_FUZZ")
    phases = tuple(Stage) if more else (Stage.explicit, Stage.generate)
    return settings(max_examples=int(more or os.environ.get("VMCFG_EXAMPLES") or count), phases=phases)


@st.composite
def cases(draw: Any, folder: Path, modes: tuple[str, ...] = ("native", "nested"), focus: str = "") -> Case:
    """A scenario of one or two hosts, one to four VMs and one or two workloads; its trace files lie in `folder`.

    The focus makes sure of what is rare: `large` pages on both sides, or `kernels` that run on several vCPUs.
    """
    hz = draw(st.sampled_from(HZ))
    run = draw(_runs(hz))
    is_bounded = not run.to_the_end
    traces = {record.file: record for record in draw(st.lists(_traces(folder), max_size=2))}
    regions = (Region("r0", BASES[1], 600),) if focus == "large" else draw(_regions())
    workloads = tuple(
        Workload(name, regions, draw(_phases(hz, regions, [trace.spec for trace in traces.values()], is_bounded)))
        for name in ("w", "x")[: draw(st.integers(1, 2))]
    )
    if focus or draw(st.booleans()):
        has_kernel_half = all(vpn < KERNEL_VPN for trace in traces.values() for vpn, _ in trace.records)
        may = focus != "kernels", "shadow" not in modes
        workloads = tuple(draw(operations(workload, has_kernel_half, *may)) for workload in workloads)
        run = evolve(run, epoch_ns=run.epoch_ns * LONG)  # a fork of many pages lasts a thousand slices
    hosts = tuple(
        evolve(draw(_hosts(hz, modes)), name=name) for name in ("h", "i")[: draw(st.sampled_from((1, 1, 1, 2)))]
    )
    if focus == "large":
        hosts = tuple(draw(_with_large_pages(host)) for host in hosts)
    vms = tuple(
        draw(_vms(name, draw(st.sampled_from(hosts)), draw(st.sampled_from(workloads)), traces, hz))
        for name in ("a", "b", "c", "d")[: draw(st.integers(1, 4))]
    )
    slack = draw(st.sampled_from((0, 1, 700)))
    slack += 1100 * any(host.mmu.promotion is not None for host in hosts)  # a block of frames, wherever it begins
    taken_at_once = EVENT_PAGES if any(list(all_events(workload)) for workload in workloads) else 0
    hosts = tuple(evolve(host, memory_pages=_frames(host, vms, taken_at_once) + slack) for host in hosts)
    plain = tiny.scenario(vms[0], run=run, seed=draw(st.integers(0, 3)))
    scenario = evolve(plain, hosts=hosts, vms=vms, workloads=workloads)
    return Case(scenario, {trace.file: trace.records for trace in traces.values()})


@st.composite
def processors(draw: Any, hz: int) -> Cpu:
    """A processor with any of its caches absent, of any shape; only the first-level TLB is always there.

    Half of them are lean, as real ones are described: a power of two of sets, 16 ways at most, LRU, one TLB for fetches
    and data.
    """
    is_lean = draw(st.booleans())
    caches = _shapes(LEAN_SETS, LEAN_WAYS) if is_lean else shapes() | _shapes(SETS, WAYS, "plru") | _folded()
    small = _shapes((1, 2), (1, 2, 3))
    some = st.one_of(caches, caches, st.none())
    figures = draw(st.sampled_from((CHEAP, DEAR)))
    costs = {name: draw(st.sampled_from(figures)) for name in tiny.COSTS}
    features = ("ept", "ept_ad", "vpid") if draw(st.booleans()) else ("ept", "vpid")
    return tiny.processor(
        hz=hz,
        features=features,
        l1_tlb=draw(small | caches),
        l1_itlb=None if is_lean else draw(some),
        l2_tlb=draw(some),
        guest_walk_caches=draw(_walk_caches(caches)),
        host_walk_caches=draw(_walk_caches(caches)),
        nested_tlb=draw(some),
        walkers=draw(st.sampled_from((1, 2, 4))),
        costs=costs | {"access": draw(st.sampled_from((1, 4, 9)))},
        data_caches=draw(st.none() | data_caches()),
        large_tlbs=draw(st.none() | _large_tlbs(caches)),
    )


def _large_tlbs(caches: st.SearchStrategy[CacheShape]) -> st.SearchStrategy[LargeTlbs]:
    home = st.none() | st.just(SHARED) | caches
    return st.builds(LargeTlbs, home, home, home, home)


@st.composite
def _with_large_pages(draw: Any, host: Host) -> Host:
    """The host with large pages if it is nested, and a processor that holds those of 2 MiB."""
    homes = evolve(draw(_large_tlbs(shapes())), l1_2m=draw(st.just(SHARED) | shapes()))
    may_be_large = host.mmu.mode == "shadow" or (host.mmu.mode == "nested" and host.mmu.host_levels > 1)
    size = 2 << 20 if may_be_large and draw(st.booleans()) else PAGE_BYTES
    return evolve(host, cpu=evolve(host.cpu, large_tlbs=homes), mmu=evolve(host.mmu, page_size=size))


def data_caches() -> st.SearchStrategy[DataCaches]:
    """Data caches of few lines, so that tables displace each other; any number of sets, and levels that are absent."""
    level = st.builds(
        lambda sets, ways, latency: DataCache(64 * sets * ways, ways, latency),
        st.sampled_from((1, 1, 2, 3, 4, 5, 12, 16)),
        st.sampled_from((1, 1, 2, 3, 8, 11, 16, 17, 20, 32)),
        st.sampled_from((0, 1, 4, 14)),
    )
    return st.builds(DataCaches, level, st.none() | level, st.none() | level, st.sampled_from((0, 50, 200)))


def shapes() -> st.SearchStrategy[CacheShape]:
    """Caches of any number of sets, not only powers of two, and of up to 64 ways."""
    return _shapes(SETS, WAYS)


def write_records(folder: Path, records: Records) -> Trace:
    """Write a trace with its file of page numbers; the name tells what is in it."""
    vpns = sorted({vpn for vpn, _ in records}, reverse=True)
    packed = b"".join(struct.pack("<I", vpns.index(vpn) << 2 | kind) for vpn, kind in records)
    pages = b"".join(struct.pack("<Q", vpn) for vpn in vpns)
    name = hashlib.sha256(packed + pages).hexdigest()[:16]
    (folder / f"{name}.u32").write_bytes(packed)
    (folder / f"{name}.vpn").write_bytes(pages)
    return Trace(f"{name}.u32", folder / f"{name}.u32", "records", f"{name}.vpn", folder / f"{name}.vpn")


class _WrittenTrace(NamedTuple):
    spec: Trace
    records: Records

    @property
    def file(self) -> str:
        return self.spec.file


def _shapes(sets: tuple[int, ...], ways: tuple[int, ...], policy: str = "lru") -> st.SearchStrategy[CacheShape]:
    return st.builds(
        lambda rows, width: CacheShape(rows * width, width, policy), st.sampled_from(sets), st.sampled_from(ways)
    )


def _folded() -> st.SearchStrategy[CacheShape]:
    """Caches indexed by exclusive-or: their sets are a power of two."""
    return st.builds(evolve, _shapes(LEAN_SETS, WAYS) | _shapes(LEAN_SETS, WAYS, "plru"), index=st.just("xor"))


def _walk_caches(caches: st.SearchStrategy[CacheShape]) -> st.SearchStrategy[dict[int, CacheShape]]:
    return st.dictionaries(st.sampled_from((2, 3, 4, 5)), caches, max_size=4)


@st.composite
def _traces(draw: Any, folder: Path) -> _WrittenTrace:
    first = draw(st.sampled_from(BASES))
    pages = draw(st.integers(1, 40))
    step = draw(st.sampled_from((1, 3, 512)))
    numbers = st.integers(0, pages - 1).map(lambda page: min(first + page * step, (1 << 36) - 1))
    records = draw(st.lists(st.tuples(numbers, st.integers(0, 2)), min_size=1, max_size=120))
    return _WrittenTrace(write_records(folder, records), records)


@st.composite
def _regions(draw: Any) -> tuple[Region, ...]:
    bases = draw(st.lists(st.sampled_from(BASES), min_size=1, max_size=3, unique=True))
    sizes = st.one_of(st.integers(1, 60), st.sampled_from((1, 9, 64, 600, 600)))
    regions = [Region(f"r{n}", base, draw(sizes)) for n, base in enumerate(bases)]
    if bases[-1] in (BASES[1], BASES[-1]) and draw(st.booleans()):
        regions[-1] = Region("large", bases[-1], 3000)  # more ranks than zipf's head, more than one leaf table
    return _without_overlaps([evolve(region, is_shared=draw(st.integers(0, 2)) == 0) for region in regions])


def _without_overlaps(regions: list[Region]) -> tuple[Region, ...]:
    kept: list[Region] = []
    for region in regions:
        taken = {vpn for other in kept for vpn in range(other.base_vpn, other.base_vpn + other.pages)}
        if taken.isdisjoint(range(region.base_vpn, region.base_vpn + region.pages)):
            kept.append(region)
    return tuple(kept)


@st.composite
def _phases(
    draw: Any, hz: int, regions: tuple[Region, ...], traces: list[Trace], is_bounded: bool
) -> tuple[Phase, ...]:
    count = draw(st.integers(1, 3))
    return tuple(draw(_phase(hz, regions, traces, is_bounded and number == count - 1)) for number in range(count))


@st.composite
def _phase(draw: Any, hz: int, regions: tuple[Region, ...], traces: list[Trace], may_be_endless: bool) -> Phase:
    ends = draw(st.sampled_from(("accesses", "accesses", "duration", "both", "none")))
    trace = draw(st.sampled_from(traces)) if traces and draw(st.booleans()) else None
    repeat = draw(st.sampled_from((1, 2, 7, None))) if trace else None
    if ends == "none" and not may_be_endless and repeat is None:
        ends = "accesses"
    limits: dict[str, Any] = {}
    if ends in ("accesses", "both"):
        limits["accesses"] = draw(st.integers(1, 150))
    if ends in ("duration", "both"):
        limits["duration_ns"] = nanoseconds(draw(st.integers(1, 3000)), hz)
    plain = tiny.phase(
        accesses_per_touch=draw(st.sampled_from((1, 1, 2, 5))),
        write_ppm=0 if trace else draw(st.sampled_from((0, 1, 50_000, 300_000, 1_000_000))),
        **limits,
    )
    return evolve(
        plain,
        pattern=None if trace else draw(_patterns(regions)),
        trace=evolve(trace, repeat=repeat) if trace else None,
        rate=draw(st.none() | _rates(hz)),
    )


@st.composite
def _patterns(draw: Any, regions: tuple[Region, ...]) -> Pattern:
    """Any pattern, in any of the regions; a mixture's parts may share them."""
    if draw(st.integers(0, 3)):
        return draw(_drawn(regions))
    parts = draw(st.lists(st.builds(Part, st.sampled_from((1, 1, 2, 1000)), _drawn(regions)), min_size=1, max_size=4))
    return Mixture("mixture", -1, parts=tuple(parts))


@st.composite
def _drawn(draw: Any, regions: tuple[Region, ...]) -> Pattern:
    region = draw(st.integers(0, len(regions) - 1))
    pages = regions[region].pages
    kind = draw(st.sampled_from(("uniform", "sequential", "zipf", "stride", "pointer_chase", "hot_cold")))
    order = draw(st.sampled_from(("contiguous", "scattered")))
    if kind == "zipf":
        return Pattern(kind, region, order, alpha=draw(st.sampled_from(("0.5", "0.99", "1.2"))))
    if kind == "stride":
        longest = pages * PAGE_BYTES - 1
        stride = draw(st.sampled_from((1, 64, longest)) | st.integers(1, longest))
        return Stride(kind, region, order, stride_bytes=stride)
    if kind == "hot_cold" and pages > 1:
        hot = draw(st.integers(1, pages - 1))
        share = draw(st.sampled_from((0, 900_000, 1_000_000)))
        return Pattern(kind, region, order, hot_pages=hot, hot_share_ppm=share)
    return Pattern("uniform" if kind == "hot_cold" else kind, region)


@st.composite
def _rates(draw: Any, hz: int) -> Rate:
    """Touches some cycles apart, in fractions of a cycle; touches cost more than that in some machines."""
    seconds = draw(st.sampled_from((1, 3, 60)))
    return Rate(max(1, hz * seconds // draw(st.integers(1, 400))), seconds)


@st.composite
def _runs(draw: Any, hz: int) -> Run:
    length = draw(st.sampled_from(("all", "all", "accesses", "duration")))
    warm_up = draw(st.sampled_from(("none", "none", "touches", "time")))
    slice_cycles = draw(st.integers(30, 2000))
    changes: dict[str, Any] = {
        "slice_ns": nanoseconds(slice_cycles, hz),
        "epoch_ns": nanoseconds(slice_cycles * draw(st.integers(2, 40)) // 2, hz),
    }
    if length == "accesses":
        changes["accesses"] = draw(st.integers(1, 200))
    if length == "duration":
        changes["duration_ns"] = nanoseconds(draw(st.integers(1, 20_000)), hz)
    if warm_up == "touches":
        changes["warmup_touches"] = draw(st.integers(1, 100))
    if warm_up == "time":
        changes["warmup_ns"] = nanoseconds(draw(st.integers(1, 10_000)), hz)
    return tiny.timing(**changes)


@st.composite
def _hosts(draw: Any, hz: int, modes: tuple[str, ...]) -> Host:
    mode = draw(st.sampled_from(modes))
    cpu = draw(processors(hz))
    # Where a switch takes the whole quantum, vCPUs that share a core do nothing but switch, for ever.
    quantum = cpu.costs["exit"] + draw(st.sampled_from((1, 100, 1000, 5000)))
    return tiny.host(
        cpu=cpu,
        cores=draw(st.integers(1, 3)),
        quantum_ns=nanoseconds(quantum, hz),
        mmu=draw(_mmus(mode, "ept_ad" in cpu.features)),
    )


@st.composite
def _mmus(draw: Any, mode: str, has_ept_ad: bool) -> Mmu:
    """Any host table, with any use of its caches; half of the trees have large pages."""
    vpid, pcid = draw(st.booleans()), draw(st.booleans())
    if mode == "native":
        return Mmu(mode, PAGE_BYTES, vpid, pcid=pcid)
    if mode == "shadow":
        is_large = draw(st.integers(0, 2)) == 0
        size, table_size = (draw(st.sampled_from(PAGE_SIZES)) if is_large else PAGE_BYTES for _ in range(2))
        promotion = draw(_promotions) if draw(st.integers(0, 2)) == 0 else None
        return Mmu(mode, size, vpid, shadow=draw(shadow_paging()), table_page_size=table_size, promotion=promotion)
    levels = draw(st.sampled_from((4, 4, 5, 1)))
    kinds = ("all", "all", "1d", "2d", "2d_nested_tlb", "2d_nested_tlb_data", "2d_nested_tlb_data")
    pml = has_ept_ad and draw(st.booleans())
    is_large = levels > 1 and draw(st.booleans())
    size, table_size = (draw(st.sampled_from(PAGE_SIZES)) if is_large else PAGE_BYTES for _ in range(2))
    kind = draw(st.sampled_from(kinds))
    plain = Mmu(mode, size, vpid, levels, kind, pml=pml, table_page_size=table_size, pcid=pcid)
    may_promote = levels > 1 and draw(st.booleans())
    return evolve(plain, promotion=draw(_promotions)) if may_promote else plain


_promotions = st.builds(Promotion, st.integers(5, 60), st.integers(1, 3), st.sampled_from((0, 500, 511, 511)))


@st.composite
def shadow_paging(draw: Any) -> ShadowPaging:
    """Any variant, with what it may be combined with."""
    variant = draw(st.sampled_from(("virtual_tlb", "cached", "cached", "unsync")))
    return ShadowPaging(
        variant,
        installs_on_write=variant == "cached" and draw(st.booleans()),
        bypasses_not_present=variant != "virtual_tlb" and draw(st.booleans()),
        cr3_targets=draw(st.integers(0, 4)) if variant == "cached" else 0,
        unsync_slots=draw(st.integers(1, 4)),
    )


@st.composite
def _vms(draw: Any, name: str, host: Host, workload: Workload, traces: Mapping[str, _WrittenTrace], hz: int) -> Vm:
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


def nanoseconds(cycles: int, hz: int) -> int:
    """Return a time that is so many cycles long, or one more where they are longer than a nanosecond."""
    return -(-cycles * 1_000_000_000 // hz)


def _guest_pages(vm: Vm, workload: Workload, traces: Mapping[str, _WrittenTrace]) -> int:
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
