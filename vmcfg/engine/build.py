"""Plan → Machine: allocate the arrays of a host and put everything in its place before t = 0."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from vmcfg.digest import SUBSYSTEMS
from vmcfg.engine.answers import ANSWERS, ASKED_FIELDS
from vmcfg.engine.boot import NO_PAGES, back_range, load_first, start_kernel, start_process
from vmcfg.engine.compression import compression_of
from vmcfg.engine.data_caches import data_caches_of
from vmcfg.engine.dirty_rounds import logging_of
from vmcfg.engine.faults import answer_fault
from vmcfg.engine.files import files_of
from vmcfg.engine.foresight import foresee
from vmcfg.engine.homes import homes_of
from vmcfg.engine.lean import LEAN_ROOMS, is_lean
from vmcfg.engine.paging import ask_below, paging_of, told
from vmcfg.engine.shadow import shadow_of
from vmcfg.engine.shortage import too_little_at_start
from vmcfg.engine.work import work_of
from vmcfg.guest.balloon import SLOWEST
from vmcfg.hardware import sets
from vmcfg.hardware.stores import Built, new_stores
from vmcfg.jit import pinned, prepare
from vmcfg.metrics.events import COLUMNS, Event, Sized
from vmcfg.mmu.shadow import VARIANTS
from vmcfg.mmu.walks import MODES
from vmcfg.plan.compile import cycles_of
from vmcfg.plan.model import UNLIMITED, HostPlan, VcpuPlan, VmPlan, bits_of
from vmcfg.rng import mixed_key
from vmcfg.scenario.spec import CacheShape, Trace
from vmcfg.vmm import machine as at
from vmcfg.vmm.large_pages import LARGEST
from vmcfg.workload.inputs import Inputs

HUGE_PAGE_BYTES, LARGE_BYTES = 2 << 20, 1 << 20
PATH = 7  # levels of a table, and one above


def build(host: HostPlan, seed: int, inputs: Inputs) -> at.Machine:
    """Return the machine of a host at t = 0: kernels backed, roots made, tables populated where asked."""
    vmm, guests = _host(host), _guests(host)
    machine = at.Machine(
        stores=_stores(host),
        data_caches=data_caches_of(host),
        guests=guests,
        host=vmm,
        shadow=shadow_of(host, partial(_zeros, host)),
        paging=paging_of(host, seed, partial(_zeros, host), vmm.pmap, guests),
        files=files_of(host, partial(_zeros, host)),
        compression=compression_of(host, seed, partial(_zeros, host)),
        work=work_of(host, seed, inputs, _zeros(host, "work.buffer")),
        vcpu=_vcpus(host),
        core=_cores(host),
        queue=np.zeros((host.cores, max(1, len(host.vcpus))), np.int32),
        sched=_sched(host),
        marks=np.full((host.marks, 2), -1, np.int64),
        counters=np.zeros((host.rows, COLUMNS), np.int64),
        sizes=np.zeros((host.rows if host.has_large_pages else 0, len(Sized)), np.int64),
        digest=np.array([mixed_key(0, f"digest/{name}") for name in SUBSYSTEMS], np.uint64),
        cost=_costs(host),
        answers=np.zeros(ANSWERS, np.int64),
        asked=np.zeros(ASKED_FIELDS, np.int64),
    )
    prepare(answer_fault, pinned(machine))
    for number, vm in enumerate(host.vms):
        _start_vm(machine, host, number, vm, inputs)
    load_first(pinned(machine))
    return foresee(host, machine) if any(map(host.foresees, host.vms)) else machine


def _start_vm(machine: at.Machine, host: HostPlan, number: int, vm: VmPlan, inputs: Inputs) -> None:
    """Give a VM its frames and its process in the order of docs/semantics.md, at no cost."""
    is_backed = vm.vm.backing == "at_start"
    back_range(
        pinned(machine), number, 0, vm.vm.memory_pages if is_backed and not host.table_block else vm.vm.kernel_pages
    )
    mapped = np.zeros(0, np.int64)
    if vm.vm.populate == "at_start":
        mapped = inputs.pages(vm.regions, _traces(host, vm))
    tables = start_kernel(pinned(machine), number)
    for process in range(vm.first_process, vm.first_process + vm.processes):
        made = start_process(pinned(machine), process, mapped)
        if made < 0:
            raise too_little_at_start(host, machine, number, made == NO_PAGES)
        tables += made
    if is_backed and host.table_block:  # the host had to see first where tables lie
        processes = slice(vm.first_process, vm.first_process + vm.processes)
        machine.guests.process[processes, at.ROOT_FRAMES : at.VIEW_FRAMES + 1] = 0
        back_range(pinned(machine), number, vm.vm.kernel_pages, vm.vm.memory_pages)
    is_warm = any(vcpu.is_warm for vcpu in host.vcpus)
    machine.counters[vm.first_row + (0 if is_warm else 1), Event.GUEST_TABLE_PAGES] += tables


def _traces(host: HostPlan, vm: VmPlan) -> list[Trace]:
    phases = host.phases[vm.first_phase : vm.first_phase + vm.phases]
    return [phase.trace for phase in phases if phase.trace]


def _zeros(host: HostPlan, name: str) -> np.ndarray:
    """Allocate an array as planned; calloc gives zeros that cost nothing until they are touched.

    Large ones begin on the border of a huge page, so that the operating system may use huge pages for all of them: a
    run over gigabytes of guest memory else spends a fifth of its time in the TLB misses of this machine.
    """
    plan = next(array for array in host.arrays if array.name == name)
    dtype = np.dtype(_DTYPES[plan.dtype])
    size = math.prod(plan.shape) * dtype.itemsize
    if size < LARGE_BYTES:
        return np.zeros(plan.shape, dtype)
    raw = np.zeros(size + 2 * HUGE_PAGE_BYTES, np.uint8)
    skip = -raw.ctypes.data % HUGE_PAGE_BYTES
    return raw[skip : skip + size].view(dtype).reshape(plan.shape)


_DTYPES: Mapping[str, type] = {
    "i64": np.int64,
    "u64": np.uint64,
    "i32": np.int32,
    "u32": np.uint32,
    "u16": np.uint16,
    "u8": np.uint8,
}


def _stores(host: HostPlan) -> sets.Stores:
    kinds = zip(host.stores, LEAN_ROOMS, strict=True)
    return new_stores([_built(store.shape, room) for store, room in kinds] * host.cores)


def _built(shape: CacheShape | None, least_room: int) -> Built | None:
    if shape is None:
        return None
    return Built(shape.entries // shape.ways, shape.ways, shape.policy, least_room, shape.index == "xor")


def _guests(host: HostPlan) -> at.Guests:
    vm = np.zeros((len(host.vms), at.VM_FIELDS), np.int64)
    rows = host.process_slots + len(host.vms)  # behind all slots, one of each VM for what an exec leaves behind
    process = np.zeros((rows, at.PROCESS_FIELDS), np.int64)
    for number, plan in enumerate(host.vms):
        vm[number, at.BASE] = plan.base
        vm[number, at.PAGES] = plan.vm.memory_pages
        vm[number, at.GUEST_FREE] = plan.vm.memory_pages - plan.vm.kernel_pages if plan.vm.table_levels else 0
        vm[number, at.GUEST_FRESH] = plan.vm.kernel_pages
        vm[number, at.ZEROES] = plan.vm.zero_on_fault
        vm[number, [at.LEVELS, at.HOST_LEVELS]] = plan.vm.table_levels, host.host_levels
        vm[number, [at.HOST_PAGE, at.HOST_TABLE_PAGE]] = host.page_level, host.table_page_level
        vm[number, [at.TABLE_BLOCK, at.CEILING]] = host.table_block, plan.vm.memory_pages
        vm[number, at.GUEST_PAGE] = plan.page_level
        vm[number, at.INDEX_BITS] = bits_of(plan.vm)
        vm[number, at.HOST_LARGEST] = min(LARGEST, max(plan.ept_offsets, default=1))
        keeps = plan.vm.reclaim.keep_free_pages if plan.vm.reclaim else 0
        vm[number, [at.GUEST_MIN, at.PINNED]] = max(plan.vm.table_levels, keeps), plan.vm.kernel_pages
        vm[number, [at.BALLOON_RATE, at.TOLD]] = SLOWEST, told(plan.vm.reclaim)
        vm[number, at.AT_START] = plan.processes
        vm[number, at.BOOT_CYCLES] = cycles_of(plan.vm.boot.duration_ns, host.hz) if plan.vm.boot else 0
        vm[number, [at.RECLAIMS, at.KILLS]] = plan.vm.reclaim is not None, plan.vm.oom == "kill"
        vm[number, at.FIRST_VCPU] = next(i for i, vcpu in enumerate(host.vcpus) if vcpu.vm == number)
        vm[number, at.EPT : at.EPT + 6] = vm[number, at.EPT_ROOT] = -1
        for level, offset in plan.ept_offsets.items():
            vm[number, at.EPT + level] = offset
        space = rows + number
        vm[number, [at.FIRST_PROCESS, at.SLOTS, at.GLOBAL_SPACE]] = plan.first_process, plan.slots, space
        kept = plan.vm.pcids if host.has_pcid and plan.vm.table_levels >= at.USUAL_LEVELS else 0
        vm[number, [at.HAS_KPTI, at.PCIDS, at.KERNEL_PAGES]] = plan.vm.kpti, kept, plan.kernel_pages
        own = np.arange(plan.first_process, plan.first_process + plan.slots)
        left = host.process_slots + number
        vm[number, at.LEFT] = left
        process[[*own, left], at.PROCESS_VM] = number
        process[own, at.KERNEL_SPACE] = rows + len(host.vms) + own if plan.vm.kpti else space
    return at.Guests(
        tables=_zeros(host, "guests.tables"),
        ppns=_zeros(host, "guests.ppns"),
        pool=np.zeros(2, np.int64),
        given_back=_zeros(host, "guests.given_back"),
        vm=vm,
        process=process,
        free_list=_zeros(host, "guests.free_list"),
        blocks=np.zeros(max(1, host.pages // at.TABLE_ENTRIES if host.has_large_pages else 0), np.int32),
        sharers=_zeros(host, "guests.sharers"),
        where=_zeros(host, "guests.where"),
        balloon=_zeros(host, "guests.balloon"),
        homes=_zeros(host, "guests.homes"),
        pcids=_pcids(host),
        types=_zeros(host, "guests.types"),
        referrers=_zeros(host, "guests.referrers"),
        path=np.zeros(PATH, np.int64),
    )


def _pcids(host: HostPlan) -> np.ndarray:
    """Return what address spaces the vCPUs keep translations of: at the start, of the loaded one in place 0."""
    places = np.zeros((len(host.vcpus), max(plan.vm.pcids for plan in host.vms)), np.int32)
    places[:, 0] = [1 + _process_of(host, vcpu) for vcpu in host.vcpus]
    return places


def _process_of(host: HostPlan, vcpu: VcpuPlan) -> int:
    """Return the process that a vCPU begins with."""
    vm = host.vms[vcpu.vm]
    return vm.first_process + vcpu.ordinal % vm.processes


def _host(host: HostPlan) -> at.Host:
    counts = np.zeros(at.HOST_FIELDS, np.int64)
    counts[at.FRAME_FREE] = counts[at.TOTAL] = host.frames
    counts[[at.RESERVE, at.ASK_BELOW]] = host.reserve_frames, ask_below(host)
    names = ("pmap", "owner", "kind", "free_list", "ept")
    arrays = {name: _zeros(host, f"host.{name}") for name in names}
    blocks = host.frames // at.TABLE_ENTRIES if host.has_large_pages else 0
    return at.Host(counts=counts, blocks=np.zeros(max(1, blocks), np.int32), **arrays)


def _vcpus(host: HostPlan) -> np.ndarray:
    vcpus = np.zeros((len(host.vcpus), at.VCPU_FIELDS), np.int64)
    for number, plan in enumerate(host.vcpus):
        vm = host.vms[plan.vm]
        fields = {
            at.VM: plan.vm,
            at.PROCESS: _process_of(host, plan),
            at.PCID_NEXT: 1 % vm.vm.pcids,
            at.EVENT_TOUCH: UNLIMITED,
            at.EVENT_TIME: UNLIMITED,
            at.ORDINAL: plan.ordinal,
            at.STATUS: at.WAITING,
            at.WAKE: UNLIMITED if vm.vm.boot else plan.wake,
            at.FIRST_ROW: vm.first_row,
            at.ROW: vm.first_row + (0 if plan.is_warm else 1),
            at.FIRST_MARK: plan.first_mark,
            at.MARK: -1,
            at.FIRST_PHASE: vm.first_phase,
            at.PHASE: vm.first_phase - 1,
            at.LAST_PHASE: vm.first_phase + vm.phases - 1,
            at.IS_WARM: plan.is_warm,
            at.WARM_TOUCHES: plan.warm_touches,
            at.WARM_DEADLINE: plan.warm_deadline,
            at.RUN_TOUCHES: plan.run_touches,
            at.LOG_INDEX: at.LOG_ENTRIES - 1,
            at.LAST_RETIRED: UNLIMITED if plan.is_warm else plan.run_touches,
        }
        vcpus[number, list(fields)] = list(fields.values())
    return vcpus


def _cores(host: HostPlan) -> np.ndarray:
    cores = np.zeros((host.cores, at.CORE_FIELDS), np.int64)
    cores[:, [at.LAST_RUN, at.HEAD]] = at.NOBODY
    return cores


def _sched(host: HostPlan) -> np.ndarray:
    sched = np.zeros(at.SCHED_FIELDS, np.int64)
    sched[[at.SLICE_CYCLES, at.QUANTUM]] = host.slice_cycles, host.quantum_cycles
    sched[[at.RUN_END, at.UNFINISHED]] = host.run_end, len(host.vcpus)
    sched[[at.CORES, at.VCPUS]] = host.cores, len(host.vcpus)
    sched[at.MOST_STEPS] = UNLIMITED
    return sched


def _costs(host: HostPlan) -> np.ndarray:
    cost = np.zeros(at.COST_FIELDS, np.int64)
    cost[: len(at.COSTS)] = [host.costs.get(name, 0) for name in at.COSTS]
    cost[[at.WALKERS_LOG2, at.HAS_VPID, at.HAS_EPT_AD]] = host.walkers.bit_length() - 1, host.has_vpid, host.has_ept_ad
    cost[[at.HZ, at.MODE, at.IS_LEAN]] = host.hz, MODES[host.mode], is_lean(host)
    if host.shadow:
        cost[[at.SHADOW_VARIANT, at.INSTALLS]] = VARIANTS[host.shadow.variant], host.shadow.installs_on_write
        cost[[at.BYPASSES, at.CR3_TARGETS]] = host.shadow.bypasses_not_present, host.shadow.cr3_targets
        cost[at.UNSYNC_SLOTS] = host.shadow.unsync_slots if host.shadow.variant == "unsync" else 0
    cost[[at.HAS_LARGE_PAGES, at.TABLE_NODES]] = host.has_large_pages, host.table_nodes
    cost[[at.NESTED_TLB_HOLDS_DATA, at.LOGGING]] = host.nested_tlb_holds_data, logging_of(host)
    cost[[at.HAS_ROUNDS, at.HAS_DATA_CACHES]] = host.dirty_log is not None, host.data_caches is not None
    cost[[at.HAS_TLB, at.BATCH_UPDATES, at.PINS]] = host.has_tlb, host.batch_updates, host.pins_roots
    cost[at.HOMES :] = homes_of(host)
    return cost
