"""Machine → results: counters become integers with names, arrays stay behind."""

from __future__ import annotations

import numpy as np
from attrs import evolve

from vmcfg.engine.dirty_rounds import Rounds
from vmcfg.engine.kills import Kills
from vmcfg.metrics.events import (
    BALLOON_EXITS,
    COMPRESSION_EXITS,
    EXIT_COUNT,
    EXIT_CYCLES_BY_REASON,
    LOG_EXITS,
    MODE_EXITS,
    PAGING_EXITS,
    POWER_EXITS,
    PROMOTION_EXITS,
    PROTECTION_EXITS,
    REPORT_EXITS,
    ROUND_EXITS,
    Event,
    Exit,
    Found,
    Sized,
)
from vmcfg.metrics.result import Checkpoint, DiskResult, HostResult, PhaseResult, VmResult
from vmcfg.plan.model import HostPlan
from vmcfg.vmm import compression, devices, files, swap
from vmcfg.vmm import machine as at


def collect_host(host: HostPlan, machine: at.Machine, checkpoints: tuple[Checkpoint, ...]) -> HostResult:
    """Return the frames of a host by kind, and its digests."""
    frames = {"total": int(machine.host.counts[at.TOTAL])}
    frames |= {kind: int(machine.host.counts[number]) for number, kind in enumerate(at.FRAME_KINDS)}
    disks = tuple(_disk(host, machine, number) for number in range(len(host.disks)))
    return HostResult(host.name, host.hz, frames, checkpoints, disks)


def _disk(host: HostPlan, machine: at.Machine, number: int) -> DiskResult:
    row = machine.paging.device[number]
    counters = {name: int(row[field]) for name, field in devices.COUNTED.items()}
    return DiskResult(host.disks[number].name, host.name, host.hz, counters)


def collect_vms(host: HostPlan, machine: at.Machine, rounds: Rounds, kills: Kills) -> list[VmResult]:
    """Return the results of a host's VMs, phase 0 (the warm-up) first."""
    return [
        evolve(_vm(host, machine, number), rounds=rounds.of(number), kills=kills.of(number))
        for number in range(len(host.vms))
    ]


def _vm(host: HostPlan, machine: at.Machine, number: int) -> VmResult:
    plan = host.vms[number]
    phases = tuple(_phase(host, machine, number, phase) for phase in range(1 + plan.phases))
    return VmResult(plan.vm.name, host.name, host.mode, host.hz, phases, pages_of(host, machine, number))


def _phase(host: HostPlan, machine: at.Machine, number: int, phase: int) -> PhaseResult:
    row = machine.counters[host.vms[number].first_row + phase]
    counters = {event.name.lower(): int(row[event]) for event in Event}
    if host.data_caches:
        found = machine.data_caches.counts[host.vms[number].first_row + phase]
        counters |= {where.name.lower(): int(found[where]) for where in Found}
    if host.has_large_pages:
        sizes = machine.sizes[host.vms[number].first_row + phase]
        counters |= {sized.name.lower(): int(sizes[sized]) for sized in Sized}
    exits = {
        reason.name.lower(): (int(row[EXIT_COUNT + reason]), int(row[EXIT_CYCLES_BY_REASON + reason]))
        for reason in MODE_EXITS[host.mode] + LOG_EXITS * host.has_pml + _round_exits(host)
        + PROMOTION_EXITS * bool(host.promotion) + PAGING_EXITS * bool(host.paging)
        + COMPRESSION_EXITS * bool(host.compression) + BALLOON_EXITS * host.has_balloons
        + POWER_EXITS * host.has_power_events
        + REPORT_EXITS * any(plan.vm.free_page_reporting for plan in host.vms)
    }
    return PhaseResult(phase, counters, exits, _elapsed(host, machine, number, phase))


def _round_exits(host: HostPlan) -> tuple[Exit, ...]:
    """Return the exits of a host that asks which pages have been modified."""
    return (PROTECTION_EXITS * (not host.has_pml) + ROUND_EXITS) * (host.dirty_log is not None)


def _elapsed(host: HostPlan, machine: at.Machine, number: int, phase: int) -> int:
    """Return the cycles from the first vCPU's entry into a phase to the last one's last retirement in it."""
    marks = [machine.marks[vcpu.first_mark + phase] for vcpu in host.vcpus if vcpu.vm == number]
    used = [mark for mark in marks if mark[at.ENDED] >= 0]
    if not used:
        return 0
    return int(max(mark[at.ENDED] for mark in used) - min(mark[at.STARTED] for mark in used))


def pages_of(host: HostPlan, machine: at.Machine, number: int) -> dict[str, int]:
    """Return where a VM's pages are just now."""
    plan = host.vms[number]
    entries = machine.host.pmap[plan.base : plan.base + plan.vm.memory_pages]
    kinds = entries & at.KIND_MASK
    return {
        "configured": plan.vm.memory_pages,
        "private": int((kinds == at.PRIVATE).sum()),
        "ballooned": int((kinds == at.BALLOONED).sum()),
        "swapped": int((kinds == at.SWAPPED).sum()),
        "unbacked": int((kinds == at.UNBACKED).sum()),
        "balloon": int(machine.guests.vm[number, at.BALLOON_PAGES]),
        "guest_swapped": int(machine.paging.area[1 + number, swap.USED]) if host.areas else 0,
        "guest_cached": int(machine.files.rules[number, files.CACHED]),
        "guest_free": int(machine.guests.vm[number, at.GUEST_FREE]),
        "guest_tables": int((entries & at.IS_TABLE != 0).sum()),
        "guest_kernel": plan.vm.kernel_pages,
        **(_compressed(machine, number, kinds) if host.compression else {}),
        **(_large_pages(host, machine, number) if host.has_large_pages else {}),
    }


def _compressed(machine: at.Machine, number: int, kinds: np.ndarray) -> dict[str, int]:
    """Count a VM's compressed pages, the quarters of frames that they take, and the frames of its cache."""
    row = machine.compression.vm[number]
    first, limit = int(row[compression.FIRST]), int(row[compression.LIMIT])
    quarters = machine.compression.quarters[first * compression.QUARTERS : (first + limit) * compression.QUARTERS]
    return {
        "compressed": int((kinds == at.COMPRESSED).sum()),
        "cache_quarters": int((quarters != 0).sum()),
        "cache_frames": int(row[compression.HELD]),
        "cache_limit": limit,
    }


def _large_pages(host: HostPlan, machine: at.Machine, number: int) -> dict[str, int]:
    """Count the large pages that a guest maps now, once for each process, and those that it mapped before the run."""
    processes = machine.guests.process
    is_own = (processes[:, at.PROCESS_VM] == number) & (processes[:, at.IS_LIVE] != 0)
    tables = processes[is_own, at.ROOT_TABLE]
    large = 0
    for _ in range(host.vms[number].vm.table_levels - 1):
        entries = machine.guests.tables.reshape(-1, at.TABLE_ENTRIES)[tables].ravel()
        entries = entries[entries & at.PRESENT != 0]
        is_large = entries & at.LARGE_PAGE != 0
        large += int(is_large.sum())
        tables = entries[~is_large] >> at.CHILD_SHIFT
    return {"guest_large": large, "guest_large_at_start": int(machine.guests.vm[number, at.LARGE_AT_START])}
