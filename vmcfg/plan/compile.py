"""Scenario → Plan: times become cycles, names become places in arrays."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate

from attrs import astuple, evolve

from vmcfg.plan.arrays import array_plans
from vmcfg.plan.bounds import max_tables, max_touches, most_tables, scheduled_cycles, touched_pages
from vmcfg.plan.disks import AreaPlan, DiskPlan, area_plans, file_plans, pages_of, shared_plans
from vmcfg.plan.fingerprint import scenario_digest
from vmcfg.plan.model import (
    UNLIMITED,
    HostPlan,
    Plan,
    StorePlan,
    VcpuPlan,
    VmPlan,
    pages_of_level,
)
from vmcfg.plan.phases import EventPlan, PartPlan, PhasePlan
from vmcfg.plan.reserve import PAGE_LEVELS, reserve
from vmcfg.scenario.spec import (
    PAGE_BYTES,
    CacheShape,
    Disk,
    GuestEvent,
    Host,
    Mixture,
    Mmu,
    Pattern,
    Phase,
    Promotion,
    Region,
    Run,
    Scenario,
    Vm,
    Workload,
)

TABLE_ENTRIES = 512
NANOSECONDS = 1_000_000_000
EXITS_BY_HARDWARE = ("nested", "shadow")  # modes whose exits flush TLBs unless these are tagged


def compile_plan(scenario: Scenario) -> Plan:
    """Return the plan of a checked scenario. Reads the scenario's input files for their digests."""
    hosts = tuple(_host(scenario, host) for host in scenario.hosts)
    return Plan(scenario, scenario_digest(scenario), tuple(host for host in hosts if host.vms))


def cycles_of(nanoseconds: int, hz: int) -> int:
    """Return a time in cycles of a host, rounded half up."""
    return (nanoseconds * hz + NANOSECONDS // 2) // NANOSECONDS


def _host(scenario: Scenario, host: Host) -> HostPlan:
    workloads = {workload.name: workload for workload in scenario.workloads}
    vms = [vm for vm in scenario.vms if vm.host == host.name]
    used = [workload for workload in scenario.workloads if any(vm.workload == workload.name for vm in vms)]
    first_phases, phases = _phases(used, host)
    is_nested = host.mmu.mode == "nested"
    host_levels = host.mmu.host_levels if is_nested else 0
    page_levels = PAGE_LEVELS[host.mmu.page_size], PAGE_LEVELS[host.mmu.table_page_size]
    known_levels = host_levels or _sizes_known(host.mmu)
    vm_plans, ept_entries = _vms(vms, workloads, first_phases, known_levels, pages_of_level(max(page_levels)))
    vcpus = _vcpus(vm_plans, scenario.run, host)
    areas = _areas(host, vms)
    files = tuple(file_plans(vms, areas))
    plan = HostPlan(
        name=host.name,
        mode=host.mmu.mode,
        hz=host.cpu.hz,
        cores=host.cores,
        frames=host.memory_pages,
        slice_cycles=cycles_of(scenario.run.slice_ns, host.cpu.hz),
        quantum_cycles=cycles_of(host.quantum_ns, host.cpu.hz),
        run_end=_or_unlimited(scenario.run.duration_ns, host.cpu.hz),
        host_levels=host_levels,
        page_level=page_levels[0],
        table_page_level=page_levels[1],
        reserve_frames=max((reserve(vm, workloads[vm.workload], host.mmu.mode, host_levels) for vm in vms), default=0),
        costs=dict(host.cpu.costs),
        walkers=host.cpu.walkers,
        has_vpid=host.mmu.vpid or host.mmu.mode not in EXITS_BY_HARDWARE,
        has_ept_ad=is_nested and "ept_ad" in host.cpu.features,
        has_pml=host.mmu.logs_pages,
        dirty_log=host.mmu.dirty_log,
        has_pcid=host.mmu.pcid,
        batch_updates=host.mmu.batch_updates,
        pins_roots=host.mmu.pins_roots,
        shadow=host.mmu.shadow,
        stores=_stores(host),
        nested_tlb_holds_data=is_nested and host.mmu.nested_caches == "2d_nested_tlb_data",
        large_tlbs=host.cpu.large_tlbs,
        promotion=host.mmu.promotion,
        data_caches=host.cpu.data_caches,
        disks=tuple(_disk(disk, host.cpu.hz) for disk in host.disks),
        areas=areas,
        files=files,
        shared=tuple(shared_plans((plan.regions for plan in vm_plans), pages_of(files))),
        paging=host.paging,
        has_tlb=host.mmu.has_tlb,
        compression=host.compression,
        vms=vm_plans,
        vcpus=vcpus,
        phases=phases,
        rows=sum(1 + vm.phases for vm in vm_plans),
        marks=sum(1 + vm_plans[vcpu.vm].phases for vcpu in vcpus),
        ept_entries=ept_entries,
        arrays=(),
        max_touches=0,
        scheduled_cycles=0,
    )
    if not vms:
        return plan
    touches, cycles = max_touches(plan), scheduled_cycles(plan)
    return evolve(plan, arrays=array_plans(plan), max_touches=touches, scheduled_cycles=cycles)


def _disk(disk: Disk, hz: int) -> DiskPlan:
    return DiskPlan(disk.name, cycles_of(disk.latency_ns, hz), cycles_of(disk.seek_ns, hz), disk.bandwidth)


def _areas(host: Host, vms: list[Vm]) -> tuple[AreaPlan, ...]:
    swaps = [host.swap, *(vm.reclaim.swap if vm.reclaim else None for vm in vms)]
    return tuple(area_plans(swaps)) if host.disks else ()


def _sizes_known(mmu: Mmu) -> int:
    """Return up to which level the VMM keeps sizes of host pages, where hardware walks no table of the host's."""
    is_large = max(mmu.page_size, mmu.table_page_size) > PAGE_BYTES or mmu.promotion is not None
    return max(PAGE_LEVELS.values()) if mmu.mode == "shadow" and is_large else 0


def _phases(workloads: list[Workload], host: Host) -> tuple[dict[str, int], tuple[PhasePlan, ...]]:
    first: dict[str, int] = {}
    plans: list[PhasePlan] = []
    for workload in workloads:
        first[workload.name] = len(plans)
        plans += [_phase(workload, number, phase, host) for number, phase in enumerate(workload.phases, 1)]
    return first, tuple(plans)


def _phase(workload: Workload, number: int, phase: Phase, host: Host) -> PhasePlan:
    hz = host.cpu.hz
    step = remainder = divisor = 0
    if phase.rate is not None:
        divisor = phase.rate.touches
        step, remainder = divmod(hz * phase.rate.seconds, divisor)
    return PhasePlan(
        workload=workload.name,
        number=number,
        pattern=phase.pattern,
        region=_region(workload, phase.pattern),
        trace=phase.trace,
        write_ppm=phase.write_ppm,
        per_touch=phase.accesses_per_touch,
        touches=UNLIMITED if phase.accesses is None else phase.accesses,
        cycles=_or_unlimited(phase.duration_ns, hz),
        step=step,
        step_remainder=remainder,
        step_divisor=divisor,
        epoch_cycles=cycles_of(phase.trace.epoch_ns, hz) if phase.trace else 0,
        parts=_parts(workload, phase.pattern) if isinstance(phase.pattern, Mixture) else (),
        events=tuple(_events(workload, phase, host.mmu.promotion)),
    )


def _events(workload: Workload, phase: Phase, promotion: Promotion | None) -> Iterator[EventPlan]:
    """What the guest's kernel does during a phase; then what the VMM does, which is made an event of the same kind."""
    for event in phase.events:
        yield EventPlan(event, None if event.region < 0 else workload.regions[event.region])
    if promotion:
        when = GuestEvent("promote", promotion.every_touches, 0 if promotion.rate else 1, rate=promotion.rate)
        yield EventPlan(evolve(when, ranges=promotion.blocks, max_absent=promotion.max_absent), None)


def _region(workload: Workload, pattern: Pattern | None) -> Region | None:
    return None if pattern is None or isinstance(pattern, Mixture) else workload.regions[pattern.region]


def _parts(workload: Workload, mixture: Mixture) -> tuple[PartPlan, ...]:
    weights = accumulate(part.weight for part in mixture.parts)
    return tuple(
        PartPlan(workload.name, reached, part.pattern, workload.regions[part.pattern.region])
        for part, reached in zip(mixture.parts, weights, strict=True)
    )


def _vms(
    vms: list[Vm], workloads: dict[str, Workload], first_phases: dict[str, int], host_levels: int, block: int
) -> tuple[tuple[VmPlan, ...], int]:
    plans: list[VmPlan] = []
    base = row = ept = process = 0
    for vm in vms:
        workload = workloads[vm.workload]
        offsets = {}
        for level in range(host_levels, 1, -1):
            offsets[level] = ept
            ept += _ceil_div(vm.memory_pages, TABLE_ENTRIES ** (level - 1))
        kernel_pages = vm.kernel_pages if workload.kernel_accesses else 0
        tables = max_tables(vm, workload, kernel_pages)
        largest = max(block, pages_of_level(PAGE_LEVELS[vm.page_size]))
        plans.append(
            VmPlan(
                vm=vm,
                base=base,
                first_row=row,
                first_phase=first_phases[vm.workload],
                phases=len(workload.phases),
                regions=workload.regions,
                max_tables=tables,
                max_shadows=most_tables(vm, workload, kernel_pages) if _maps_large(vm, workload) else tables,
                touched_pages=touched_pages(vm, workload, tables, largest),
                page_level=PAGE_LEVELS[vm.page_size],
                ept_offsets=offsets,
                first_process=process,
                processes=workload.processes,
                slots=workload.max_processes,
                kernel_pages=kernel_pages,
            )
        )
        process += workload.max_processes
        base += _ceil_div(vm.memory_pages, TABLE_ENTRIES) * TABLE_ENTRIES  # no group of 512 is shared by two VMs
        row += 1 + len(workload.phases)
    return tuple(plans), ept


def _maps_large(vm: Vm, workload: Workload) -> bool:
    """Tell whether a guest may map large pages, whose shadows can have more tables than the guest has."""
    return vm.page_size > PAGE_BYTES or workload.collapses


def _vcpus(vms: tuple[VmPlan, ...], run: Run, host: Host) -> tuple[VcpuPlan, ...]:
    plans: list[VcpuPlan] = []
    mark = 0
    hz = host.cpu.hz
    for number, plan in enumerate(vms):
        wake = cycles_of(plan.vm.start_ns, hz)
        for ordinal in range(plan.vm.vcpus):
            warm_cycles = _or_unlimited(run.warmup_ns, hz)
            plans.append(
                VcpuPlan(
                    name=f"{plan.vm.name}/{ordinal}",
                    vm=number,
                    ordinal=ordinal,
                    core=len(plans) % host.cores,
                    wake=wake,
                    first_mark=mark,
                    is_warm=bool(run.warmup_ns or run.warmup_touches),
                    warm_touches=run.warmup_touches or UNLIMITED,
                    warm_deadline=UNLIMITED if warm_cycles == UNLIMITED else wake + warm_cycles,
                    run_touches=UNLIMITED if run.accesses is None else run.accesses,
                )
            )
            mark += 1 + plan.phases
    return tuple(plans)


def _stores(host: Host) -> tuple[StorePlan, ...]:
    """Return a core's stores in the order of `hardware.core`; absent and unused ones too, so that places stay fixed."""
    cpu, used = host.cpu, host.mmu.nested_caches
    is_nested = host.mmu.mode == "nested"
    has_nested_tlb = is_nested and used not in ("1d", "2d")
    guest_caches = {} if host.mmu.mode == "software_tlb" else cpu.guest_walk_caches
    names = {2: "PDE", 3: "PDPTE", 4: "PML4E", 5: "PML5E"}
    shapes = [("L1 TLB", cpu.l1_tlb), ("L1 instruction TLB", cpu.l1_itlb), ("L2 TLB", cpu.l2_tlb)]
    shapes.append(("nested TLB", cpu.nested_tlb if has_nested_tlb else None))
    shapes += [(f"{name} cache, guest", guest_caches.get(level)) for level, name in names.items()]
    host_caches = cpu.host_walk_caches if is_nested and used != "1d" else {}
    shapes += [(f"{name} cache, host", host_caches.get(level)) for level, name in names.items()]
    shapes.append(("software TLB", host.mmu.software_tlb if host.mmu.mode == "software_tlb" else None))
    names_of_large = ("L1 TLB, 2MiB", "L1 TLB, 1GiB", "L2 TLB, 2MiB", "L2 TLB, 1GiB")
    homes = astuple(cpu.large_tlbs, recurse=False) if cpu.large_tlbs else (None,) * len(names_of_large)
    own = [home if isinstance(home, CacheShape) else None for home in homes]
    shapes += zip(names_of_large, own, strict=True)
    return tuple(StorePlan(number, name, shape if host.mmu.has_tlb else None)
                 for number, (name, shape) in enumerate(shapes))


def _or_unlimited(nanoseconds: int | None, hz: int) -> int:
    return UNLIMITED if nanoseconds is None else cycles_of(nanoseconds, hz)


def _ceil_div(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
