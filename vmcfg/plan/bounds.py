"""Upper bounds: how many tables, pages and touches a run can come to have, and how long schedules can draw it out.

`run` refuses above its limits.
"""

from __future__ import annotations

from pathlib import Path

from vmcfg.plan.model import UNLIMITED, HostPlan, VcpuPlan, bits_of
from vmcfg.plan.phases import PhasePlan
from vmcfg.scenario import trace_files
from vmcfg.scenario.spec import PAGE_BYTES, Region, Trace, Vm, Workload

NANOSECONDS = 1_000_000_000
VPN_BYTES = 8  # of an entry in a trace's page list
MOST_PAGES = {  # pages that so many bytes of a plain trace file can name
    "lackey": (2, 1),  # " L f,65536" and a line end are 11 bytes and touch 17 pages
    "records": (1, 4),
    "oracle_general": (1, 24),
    "champsim": (7, 64),
    "u64": (1, 8),
    "csv": (1, 2),  # a digit and a line end
    "guest_physical": (1, 4),
}


def max_tables(vm: Vm, workload: Workload, kernel_pages: int) -> int:
    """Return how many page-table pages a VM's processes can need: each takes a guest page, so at most all."""
    return min(vm.memory_pages, most_tables(vm, workload, kernel_pages))


def most_tables(vm: Vm, workload: Workload, kernel_pages: int) -> int:
    """Return how many tables all pages of a VM's processes would have, if they were small and memory no limit.

    `kernel_pages` have tables of their own, which the processes share.
    """
    levels = vm.table_levels
    if not levels:
        return 0
    roots_and_regions = 1 + vm.kpti + sum(_tables_of(region, levels, bits_of(vm)) for region in workload.regions)
    from_traces = sum(_trace_pages(phase.trace) * (levels - 1) for phase in workload.phases if phase.trace)
    kernel = sum(-(-kernel_pages // 2 ** (bits_of(vm) * level)) for level in range(1, levels))
    exec_roots = 1 + vm.kpti if _executes(workload) else 0  # the old ones go later
    return workload.max_processes * (roots_and_regions + from_traces) + kernel + exec_roots


def touched_pages(vm: Vm, workload: Workload, tables: int, block: int) -> int:
    """Return how many guest pages of a VM can come to be used, in aligned blocks of so many for data and for tables.

    What a guest maps by large pages, it uses by large pages. One that also unmaps or collapses some may use all that it
    has, for what it splits comes back in pieces. Without paging it uses memory wherever the host's blocks lie.
    """
    own = vm.page_size // PAGE_BYTES if vm.table_levels else block
    has_pieces = workload.collapses or (vm.page_size > PAGE_BYTES and any(phase.events for phase in workload.phases))
    if vm.backing == "at_start" or has_pieces or (vm.boot and vm.boot.zeroes):
        return vm.memory_pages
    data = sum(_around(region, own) for region in workload.regions)
    data += own * sum(_trace_pages(phase.trace) for phase in workload.phases if phase.trace)
    used = vm.kernel_pages + workload.max_processes * data + sum(file.pages for file in vm.files)
    return min(vm.memory_pages, _whole(used, block) + _whole(tables, block))


def max_touches(host: HostPlan) -> int:
    """Return how many touches the host's vCPUs can come to make, UNLIMITED where only a trace knows."""
    return min(UNLIMITED, sum(_vcpu_touches(host, number) for number in range(len(host.vcpus))))


def scheduled_cycles(host: HostPlan) -> int:
    """Return up to when the host's vCPUs can come to wait for their start or for touches that are not due yet.

    UNLIMITED where only a trace knows. What touches cost comes on top: it is bounded with their number.
    """
    return min(host.run_end, max(_scheduled(host, vcpu) for vcpu in host.vcpus))


def _around(region: Region, block: int) -> int:
    """Return the pages of the aligned blocks that a region lies in."""
    return ((region.base_vpn + region.pages - 1) // block - region.base_vpn // block + 1) * block


def _whole(pages: int, block: int) -> int:
    return -(-pages // block) * block


def _tables_of(region: Region, levels: int, bits: int) -> int:
    """Count the tables of all levels but the root that a region's pages need."""
    last = region.base_vpn + region.pages - 1
    return sum((last >> (bits * level)) - (region.base_vpn >> (bits * level)) + 1 for level in range(1, levels))


def _executes(workload: Workload) -> bool:
    return any(event.kind == "exec" for phase in workload.phases for event in phase.events)


def _trace_pages(trace: Trace) -> int:
    """Bound the distinct pages of a trace by its page list, or by its length."""
    if trace.vpn_path:
        return _most_records(trace.vpn_path, 1, VPN_BYTES)
    return _most_records(trace.path, *MOST_PAGES[trace.format])


def _most_records(path: Path, records: int, size: int) -> int:
    """Bound what a file holds by its length; UNLIMITED for compressed files, and for one that is not there."""
    if not path.exists():
        return UNLIMITED
    with path.open("rb") as file:
        head = file.read(trace_files.HEAD_BYTES)
    if trace_files.compression(head):
        return UNLIMITED
    return -(-path.stat().st_size // size) * records


def _vcpu_touches(host: HostPlan, number: int) -> int:
    vcpu = host.vcpus[number]
    phases = host.phases_of(vcpu)
    by_phases = sum(_phase_touches(phase, host) for phase in phases)
    by_work = _warm_up_touches(vcpu, phases[0], host) + min(by_phases, vcpu.run_touches)
    return min(UNLIMITED, by_work, _touches_within(_span(vcpu.wake, host.run_end), phases, host))


def _warm_up_touches(vcpu: VcpuPlan, phase: PhasePlan, host: HostPlan) -> int:
    """Count what comes before the phases: the first one's touches, which then begins anew."""
    if not vcpu.is_warm:
        return 0
    return min(vcpu.warm_touches, _touches_within(_span(vcpu.wake, vcpu.warm_deadline), (phase,), host))


def _phase_touches(phase: PhasePlan, host: HostPlan) -> int:
    return min(phase.touches, _touches_within(phase.cycles, (phase,), host))


def _scheduled(host: HostPlan, vcpu: VcpuPlan) -> int:
    phases = host.phases_of(vcpu)
    warm = min(_span(vcpu.wake, vcpu.warm_deadline), _paced(phases[0], vcpu.warm_touches)) if vcpu.is_warm else 0
    paced = sum(min(phase.cycles, _paced(phase, vcpu.run_touches)) for phase in phases)
    return min(UNLIMITED, vcpu.wake + _boot(host.vms[vcpu.vm].vm, host.hz) + warm + paced)


def _boot(vm: Vm, hz: int) -> int:
    """Return how long a VM's boot is to take, in cycles of its host."""
    if vm.boot is None:
        return 0
    zeroing = vm.memory_pages * PAGE_BYTES * hz // vm.boot.zeroes if vm.boot.zeroes else 0
    return max(vm.boot.duration_ns * hz // NANOSECONDS, zeroing)


def _paced(phase: PhasePlan, most_touches: int) -> int:
    """Return how long the schedule of a phase lasts: none where touches are made back to back."""
    touches = min(most_touches, phase.touches, _trace_touches(phase.trace) if phase.trace else UNLIMITED)
    if not phase.step_divisor and not phase.epoch_cycles:
        return 0
    longest = max(phase.step + 1, phase.epoch_cycles)  # an epoch has at least one touch
    return UNLIMITED if touches == UNLIMITED else touches * longest


def _trace_touches(trace: Trace) -> int:
    """Bound the touches of a trace by its length, which compressed files do not tell."""
    records = UNLIMITED if trace.repeat is None else _most_records(trace.path, *MOST_PAGES[trace.format])
    return min(UNLIMITED, records * (trace.repeat or 1))


def _span(start: int, end: int) -> int:
    return UNLIMITED if end == UNLIMITED else max(0, end - start)


def _touches_within(cycles: int, phases: tuple[PhasePlan, ...], host: HostPlan) -> int:
    """Count the touches that can begin within so many cycles from the first phase's start; each begins with one."""
    return UNLIMITED if cycles == UNLIMITED else cycles // max(1, _cheapest_touch(phases, host)) + len(phases)


def _cheapest_touch(phases: tuple[PhasePlan, ...], host: HostPlan) -> int:
    """Return the fewest cycles that a touch takes: the cost of hitting everywhere, or the schedule's step.

    A vCPU that is late catches up, but never makes a touch before it is due.
    """
    return min(max(phase.per_touch * host.costs["access"], _step(phase)) for phase in phases)


def _step(phase: PhasePlan) -> int:
    return phase.step if phase.step_divisor else 0
