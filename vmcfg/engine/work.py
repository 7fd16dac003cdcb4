"""Plan → Work: phases, parts of mixtures and traces as rows and arrays, with the streams that they draw from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from vmcfg.plan.model import UNLIMITED, HostPlan
from vmcfg.plan.phases import PartPlan, PhasePlan
from vmcfg.rng import mixed_key
from vmcfg.scenario.spec import PAGE_BYTES, Pattern, Region, Stride, Trace
from vmcfg.vmm import machine as at
from vmcfg.workload import fields as work
from vmcfg.workload.inputs import Inputs
from vmcfg.workload.patterns.stride import leap_of
from vmcfg.workload.zipf import ZipfTable, join
from vmcfg.workload.zipf import build as build_zipf

KINDS = {
    "uniform": work.UNIFORM,
    "sequential": work.SEQUENTIAL,
    "zipf": work.ZIPF,
    "hot_cold": work.HOT_COLD,
    "stride": work.STRIDE,
    "pointer_chase": work.POINTER_CHASE,
}


EVENT_KINDS = {
    "context_switch": work.CONTEXT_SWITCH,
    "syscall": work.SYSCALL,
    "mmap": work.MMAP,
    "munmap": work.MUNMAP,
    "mprotect": work.MPROTECT,
    "fork": work.FORK,
    "exec": work.EXEC,
    "exit": work.EXIT,
    "collapse": work.COLLAPSE,
    "promote": work.PROMOTE,  # of the VMM
    "flush": work.FLUSH,
    "read_file": work.READ_FILE,
    "write_file": work.WRITE_FILE,
    "power_off": work.POWER_OFF,
    "reboot": work.REBOOT,
}
FLUSHES = {
    "": 0,
    "page": work.FLUSH_PAGE,
    "process": work.FLUSH_PROCESS,
    "all": work.FLUSH_ALL,
    "all_with_globals": work.FLUSH_ALL_WITH_GLOBALS,
}


def work_of(host: HostPlan, seed: int, inputs: Inputs, buffer: np.ndarray) -> at.Work:
    """Return what the host's vCPUs are to do; `buffer` takes the accesses generated ahead, i64[vcpus, BATCH]."""
    zipf, places, tables = _zipf_tables(host)
    phases = np.zeros((len(host.phases) + len(host.parts), work.PHASE_FIELDS), np.int64)
    scatter = np.zeros(len(phases), np.uint64)
    for row, fields in enumerate([*_phases(host, inputs), *_parts(host)]):
        phases[row, list(fields)] = list(fields.values())
        phases[row, work.ZIPF_TABLE] = tables.get(row, 0)
    for row, plan in _drawn(host):
        scatter[row] = mixed_key(seed, _permutation(plan))
    return at.Work(
        phases=phases,
        stream=np.array([mixed_key(seed, vcpu.name) for vcpu in host.vcpus], np.uint64),
        choices=np.array([mixed_key(seed, f"{vcpu.name}/mixture") for vcpu in host.vcpus], np.uint64),
        events=_events(host),
        due=np.zeros((len(host.vcpus), work.DUE_FIELDS * _most_events(host)), np.int64),
        steps=np.zeros((len(host.vcpus), max([1, *(len(phase.parts) for phase in host.phases)])), np.int64),
        scatter=scatter,
        buffer=buffer,
        ahead=np.zeros(at.AHEAD, np.int64),
        hints=np.full((at.HINTS, 2), -1, np.int64),
        records=inputs.records,
        vpns=inputs.vpns,
        epochs=inputs.epochs,
        zipf=zipf,
        zipf_places=places,
    )


def _most_events(host: HostPlan) -> int:
    return max([1, *(len(phase.events) for phase in host.phases)])


def _events(host: HostPlan) -> np.ndarray:
    """Return the events of all phases, one phase after the other."""
    plans = [plan for phase in host.phases for plan in phase.events]
    rows = np.zeros((max(1, len(plans)), work.EVENT_FIELDS), np.int64)
    for row, plan in enumerate(plans):
        event, region = plan.event, plan.region
        every, divisor = event.every_touches, event.every_divisor
        if event.rate:
            every, divisor = event.rate.seconds * host.hz, event.rate.touches
            if every >= UNLIMITED:  # so long that a fraction of a cycle is nothing
                every, divisor = every // divisor, 1
        fields = {
            work.EVENT_KIND: EVENT_KINDS[event.kind],
            work.IS_TIMED: event.rate is not None,
            work.EVERY: every,
            work.EVERY_DIVISOR: divisor,
            work.EVENT_VPN: region.base_vpn if region else 0,
            work.EVENT_REGION: region.pages if region else 1,
            work.EVENT_PAGES: event.ranges or event.pages,
            work.EVENT_KERNEL_PAGES: event.kernel_pages,
            work.EVENT_WRITABLE: event.to == "read_write",
            work.EVENT_MAX_ABSENT: event.max_absent,
            work.EVENT_WHAT: FLUSHES[event.what],
            work.EVENT_OF_NEXT: event.of_next,
            work.EVENT_FILE: host.file_names.index(event.file) if event.file else 0,
        }
        rows[row, list(fields)] = list(fields.values())
    return rows


def _drawn(host: HostPlan) -> Iterator[tuple[int, PhasePlan | PartPlan]]:
    """Rows of `work.phases` whose pages are drawn from a region: phases, then parts of mixtures."""
    rows: Iterable[tuple[int, PhasePlan | PartPlan]] = enumerate([*host.phases, *host.parts])
    return ((row, plan) for row, plan in rows if plan.region)


def _zipf_tables(host: HostPlan) -> tuple[ZipfTable, np.ndarray, dict[int, int]]:
    """Build each distinct zipf table once; return them joined, their places, and which one a row uses."""
    wanted = {
        row: (plan.region.pages, plan.pattern.alpha)
        for row, plan in _drawn(host)
        if plan.region and plan.pattern and plan.pattern.kind == "zipf"
    }
    distinct = list(dict.fromkeys(wanted.values()))
    joined, places = join([build_zipf(pages, alpha) for pages, alpha in distinct])
    return joined, places, {row: distinct.index(key) for row, key in wanted.items()}


def _permutation(plan: PhasePlan | PartPlan) -> str:
    """Name the stream that permutes a region's ranks, or makes a cycle of its pages."""
    assert plan.pattern and plan.region
    use = "chase" if plan.pattern.kind == "pointer_chase" else "order"
    return f"{use}/{plan.workload}/{plan.region.name}"


def _phases(host: HostPlan, inputs: Inputs) -> Iterator[dict[int, int]]:
    part, event = len(host.phases), 0
    for plan in host.phases:
        events = {work.EVENTS: len(plan.events), work.FIRST_EVENT: event}
        yield _timing(plan) | events | (_trace(plan, plan.trace, inputs) if plan.trace else _pages(plan, part))
        part += len(plan.parts)
        event += len(plan.events)


def _parts(host: HostPlan) -> Iterator[dict[int, int]]:
    for part in host.parts:
        yield {work.WEIGHTS: part.weights} | _pattern(part.pattern, part.region)


def _pages(plan: PhasePlan, first_part: int) -> dict[int, int]:
    fields = {work.WRITE_PPM: plan.write_ppm}
    if plan.parts:
        return fields | {
            work.KIND: work.MIXTURE,
            work.PARTS: len(plan.parts),
            work.FIRST_PART: first_part,
            work.WEIGHTS: plan.parts[-1].weights,
        }
    assert plan.pattern and plan.region
    return fields | _pattern(plan.pattern, plan.region)


def _timing(plan: PhasePlan) -> dict[int, int]:
    return {
        work.PER_TOUCH: plan.per_touch,
        work.TOUCHES: plan.touches,
        work.CYCLES: plan.cycles,
        work.STEP: plan.step,
        work.STEP_REMAINDER: plan.step_remainder,
        work.STEP_DIVISOR: plan.step_divisor,
    }


def _trace(plan: PhasePlan, trace: Trace, inputs: Inputs) -> dict[int, int]:
    place = inputs.place(trace)
    return {
        work.KIND: work.TRACE,
        work.FIRST_RECORD: place.first,
        work.RECORDS: place.records,
        work.FIRST_INDEX: place.first_index,
        work.EPOCHS: place.epochs,
        work.FIRST_EPOCH: place.first_epoch,
        work.EPOCH_CYCLES: plan.epoch_cycles,
        work.TRACE_TOUCHES: UNLIMITED if trace.repeat is None else place.records * trace.repeat,
    }


def _pattern(pattern: Pattern, region: Region) -> dict[int, int]:
    is_scattered = pattern.order == "scattered" or pattern.kind == "pointer_chase"
    fields = {
        work.KIND: KINDS[pattern.kind],
        work.FIRST_VPN: region.base_vpn,
        work.PAGES: region.pages,
        work.HOT_PAGES: pattern.hot_pages,
        work.HOT_SHARE_PPM: pattern.hot_share_ppm,
        work.SCATTER_BITS: (region.pages - 1).bit_length() if is_scattered else 0,
    }
    if isinstance(pattern, Stride):
        fields[work.STRIDE_BYTES] = pattern.stride_bytes
        fields[work.LEAP_BYTES] = leap_of(pattern.stride_bytes, region.pages * PAGE_BYTES)
    return fields
