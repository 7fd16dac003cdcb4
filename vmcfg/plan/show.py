"""The plan as a person reads it: what will happen and in which order, what it may come to need, which figure is whose.

Text only, made from the Plan and nothing else; `vmcfg plan` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from vmcfg.plan.compile import cycles_of
from vmcfg.plan.disks import about
from vmcfg.plan.limits import rounded_size
from vmcfg.plan.model import UNLIMITED, USUAL_LEVELS, ArrayPlan, HostPlan, Plan, VcpuPlan, VmPlan
from vmcfg.plan.parameters import Parameter, parameters
from vmcfg.plan.phases import PhasePlan
from vmcfg.plan.show_reclaim import reclaim_of
from vmcfg.scenario.spec import PAGE_BYTES, Mixture, Mmu, Pattern, Rate, Region, Run, Scenario, Stride, Vm
from vmcfg.units import format_duration, format_rate, format_share, format_size

GAP = "  "
PLACES = ("first page", "counters", "tables", "in use")  # of a VM in its host's arrays


def render(plan: Plan) -> str:
    """Return the whole plan as text."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{plan.scenario.name}: {plan.scenario.metadata.title}"
    yield f"digest {plan.digest}"
    yield f"seed   {plan.scenario.seed}"
    yield from _asked(plan.scenario)
    for host in plan.hosts:
        yield from ("", f"host {host.name}", *_indented(_host(plan.scenario, host)))
    yield from ("", "upper bounds", *_indented(_bounds(plan)))


def _asked(scenario: Scenario) -> Iterator[str]:
    """What is made of the run: variants beside it, claims about it."""
    if scenario.comparison:
        names = ", ".join(name for name, _ in scenario.comparison.variants)
        yield f"compare {scenario.comparison.path}: {names}; each is run, and what follows is the scenario as written"
    if scenario.expected_error:
        yield f"expect error {scenario.expected_error.code}"
    if scenario.claims:
        yield f"expect {_some(len(scenario.claims), 'claim')}, judged at the end"


def _host(scenario: Scenario, host: HostPlan) -> Iterator[str]:
    yield from _machine(scenario, host)
    yield from ("", "stages, in order", *_indented(_stages(scenario, host)))
    yield from ("", "VMs", *_indented(_vms(host)))
    yield from ("", "vCPUs", *_indented(_vcpus(host)))
    yield from ("", "phases", *_indented(_phases(scenario, host)))
    yield from ("", "arrays", *_indented(_arrays(host)))
    yield from ("", *_processor(scenario, host))


def _machine(scenario: Scenario, host: HostPlan) -> Iterator[str]:
    declared = next(each for each in scenario.hosts if each.name == host.name)
    yield from _aligned(
        [
            ("mode", f"{host.mode}, pages of {_page_sizes(declared.mmu)}, {_tags(host)}{_host_table(host)}"),
            *(("", how) for how in _of_the_mode(host, declared.mmu)),
            ("cpu", f"{declared.cpu.profile}, {host.hz} Hz, {_some(host.cores, 'core')}"),
            ("frames", f"{host.frames} ({format_size(host.frames * PAGE_BYTES)}); {_reserve(host)}"),
            *(("reclaim", how) for how in reclaim_of(host)),
            *(("disk", about(disk)) for disk in host.disks),
        ]
    )


def _tags(host: HostPlan) -> str:
    if host.mode in ("paravirt", "software_tlb"):
        return "VMs without tags: a switch of vCPUs flushes the TLB"
    return "tagged TLB" if host.has_vpid else "no VPID: exits flush the TLB"


def _of_the_mode(host: HostPlan, mmu: Mmu) -> Iterator[str]:
    """Say what only this mode has, and what was asked of it that is not usual."""
    if host.mode == "paravirt":
        roots = "pinned" if host.pins_roots else "checked at each load of CR3"
        yield f"updates of page tables in batches of up to {host.batch_updates}, roots {roots}"
    if mmu.software_tlb:
        yield f"a TLB of the VMM: {mmu.software_tlb.entries} entries, {mmu.software_tlb.ways}-way"
    if mmu.nested_caches != "all":
        yield f"caches of walks: {mmu.nested_caches}"
    if host.has_pml:
        yield "modified guest pages are logged"
    if host.dirty_log:
        how = "logs of modified pages read" if host.has_pml else "write-protected pages that were modified counted"
        yield f"{how} every {format_duration(host.dirty_log.every_ns)}"
    if host.promotion:
        blocks = _some(host.promotion.blocks, "block")
        rate = host.promotion.rate
        touches = f"after each {host.promotion.every_touches} touches"
        when = f"every {format_duration(rate.seconds * 1_000_000_000 // rate.touches)}" if rate else touches
        yield f"{when}, {blocks} of 2MiB looked at for promotion"


def _page_sizes(mmu: Mmu) -> str:
    size, table_size = format_size(mmu.page_size), format_size(mmu.table_page_size)
    return size if size == table_size else f"{size}, of {table_size} behind guest tables"


def _host_table(host: HostPlan) -> str:
    """Say how the host's table is built, where it is not as usual."""
    if host.host_levels in (0, USUAL_LEVELS):
        return ""
    return ", a flat host table" if host.host_levels == 1 else f", a host table of {host.host_levels} levels"


def _reserve(host: HostPlan) -> str:
    if not host.reserve_frames:
        return "all that VMs need are taken before the run"
    return f"a TLB miss begins only with {host.reserve_frames} of them free"


def _stages(scenario: Scenario, host: HostPlan) -> Iterator[str]:
    """Due times in cycles of the host, with the time that the scenario gives."""
    hz, run = host.hz, scenario.run
    rows = [("before 0", "", "back what is backed at start, make page-table roots, populate: at no cost")]
    starts: dict[int, list[str]] = {vm.vm.start_ns: [] for vm in host.vms}
    for vm in host.vms:
        starts[vm.vm.start_ns].append(vm.vm.name)
    rows += [(*_due(start, hz), f"start {', '.join(starts[start])}") for start in sorted(starts)]
    rows.append((f"each {host.slice_cycles}", format_duration(run.slice_ns), "slice: the cores run in order of index"))
    quantum = next(each for each in scenario.hosts if each.name == host.name).quantum_ns
    rows.append((f"after {host.quantum_cycles}", format_duration(quantum), "quantum: a vCPU gives way if one waits"))
    rows.append((f"each {cycles_of(run.epoch_ns, hz)}", format_duration(run.epoch_ns), "epoch: checkpoint of digests"))
    if run.sample_ns:
        rows.append((f"each {cycles_of(run.sample_ns, hz)}", format_duration(run.sample_ns), "sample of the series"))
    yield from _aligned([*rows, *_warm_up(run, hz), _end(run, host)])


def _due(time_ns: int, hz: int) -> tuple[str, str]:
    return f"at {cycles_of(time_ns, hz)}", format_duration(time_ns)


def _warm_up(run: Run, hz: int) -> Iterator[tuple[str, str, str]]:
    if run.warmup_ns:
        start, time = _due(run.warmup_ns, hz)
        yield start.replace("at", "after"), time, "end of each VM's warm-up, which tables do not show"
    if run.warmup_touches:
        yield f"after {run.warmup_touches}", "touches", "end of each vCPU's warm-up, which tables do not show"


def _end(run: Run, host: HostPlan) -> tuple[str, str, str]:
    if run.duration_ns is not None:
        return (*_due(run.duration_ns, host.hz), "end: all cores stop")
    if run.accesses is not None:
        return f"after {run.accesses}", "touches", "end, of each vCPU by itself"
    return "at last", "", "end, when every workload has ended by itself"


def _vms(host: HostPlan) -> Iterator[str]:
    head = ("vm", "pages", "memory", "kernel", "levels", "populate", "backing", "workload", *PLACES)
    yield from _aligned([head, *(_vm(vm) for vm in host.vms)], right=(1, 3, 4, 8, 10, 11))
    yield "levels: of its page table; first page: its page 0 in the host's arrays; counters: its rows;"
    yield "tables, in use: pages, at most"


def _vm(vm: VmPlan) -> tuple[str, ...]:
    spec = vm.vm
    rows = f"{vm.first_row}..{vm.first_row + vm.phases}"
    numbers = (str(vm.base), rows, str(vm.max_tables), str(vm.touched_pages))
    memory = format_size(spec.memory_pages * PAGE_BYTES)
    size = (str(spec.memory_pages), memory, str(spec.kernel_pages), _tables_of(spec))
    return (spec.name, *size, spec.populate, spec.backing, spec.workload, *numbers)


def _tables_of(vm: Vm) -> str:
    """Say how many levels a VM's own table has, and how large its pages are where they are not as usual."""
    levels = {0: "no paging", 2: "2 of 32 bits", 3: "PAE"}.get(vm.table_levels, str(vm.table_levels))
    return levels if vm.page_size == PAGE_BYTES else f"{levels}, {format_size(vm.page_size)}"


def _vcpus(host: HostPlan) -> Iterator[str]:
    head = ("vcpu", "vm", "core", "wakes at", "touches")
    yield from _aligned([head, *(_vcpu(host, vcpu) for vcpu in host.vcpus)], right=(2, 3, 4))


def _vcpu(host: HostPlan, vcpu: VcpuPlan) -> tuple[str, ...]:
    touches = "unlimited" if vcpu.run_touches == UNLIMITED else str(vcpu.run_touches)
    return vcpu.name, host.vms[vcpu.vm].vm.name, str(vcpu.core), str(vcpu.wake), touches


def _phases(scenario: Scenario, host: HostPlan) -> Iterator[str]:
    workloads = {workload.name: workload for workload in scenario.workloads}
    head = ("workload", "phase", "what", "pages", "from page", "pace", "write", "per touch", "until")
    rates = [workloads[phase.workload].phases[phase.number - 1].rate for phase in host.phases]
    rows = [row for phase, rate in zip(host.phases, rates, strict=True) for row in _phase(phase, rate, host.hz)]
    yield from _aligned([head, *rows], right=(1, 3, 4, 6, 7))


def _phase(phase: PhasePlan, rate: Rate | None, hz: int) -> Iterator[tuple[str, ...]]:
    what, pages, first = _source(phase)
    pace = _pace(phase, rate)
    write = "-" if phase.trace else format_share(phase.write_ppm)
    yield phase.workload, str(phase.number), what, pages, first, pace, write, str(phase.per_touch), _until(phase, hz)
    before = 0
    for part in phase.parts:
        weight = f"{part.weights - before} in {phase.parts[-1].weights}: "
        yield "", "", weight + _pattern(part.pattern), *_place(part.region), "", "", "", ""
        before = part.weights


def _pace(phase: PhasePlan, rate: Rate | None) -> str:
    if phase.trace and phase.trace.epoch_ns:
        return f"{format_duration(phase.trace.epoch_ns)} for each epoch"
    return "back to back" if rate is None else _rate(rate)


def _source(phase: PhasePlan) -> tuple[str, str, str]:
    if phase.trace:
        repeat = "for ever" if phase.trace.repeat is None else _some(phase.trace.repeat, "time")
        return f"trace {phase.trace.file} ({phase.trace.format}), {repeat}", "-", "-"
    assert phase.pattern is not None
    return _pattern(phase.pattern), *(_place(phase.region) if phase.region else ("-", "-"))


def _place(region: Region) -> tuple[str, str]:
    return str(region.pages), f"0x{region.base_vpn:x}"


def _pattern(pattern: Pattern) -> str:
    details = {
        "zipf": f" alpha {pattern.alpha}, {pattern.order}",
        "hot_cold": f" {format_share(pattern.hot_share_ppm)} to {pattern.hot_pages} pages, {pattern.order}",
    }
    if isinstance(pattern, Stride):
        return f"stride of {format_size(pattern.stride_bytes)}, {pattern.order}"
    if isinstance(pattern, Mixture):
        return f"mixture of {_some(len(pattern.parts), 'part')}"
    return pattern.kind + details.get(pattern.kind, "")


def _rate(rate: Rate) -> str:
    try:
        return format_rate(rate.touches, rate.seconds)
    except ValueError:
        return f"{Fraction(rate.touches, rate.seconds)}/s"


def _until(phase: PhasePlan, hz: int) -> str:
    if phase.touches != UNLIMITED:
        return f"{phase.touches} touches"
    if phase.cycles != UNLIMITED:
        return f"{phase.cycles} cycles"
    return "its end" if phase.trace and phase.trace.repeat else "the end"


def _arrays(host: HostPlan) -> Iterator[str]:
    head = ("array", "type", "shape", "reserved", "touched, at most", "meaning")
    yield from _aligned([head, *(_array(array) for array in host.arrays)], right=(3, 4))


def _array(array: ArrayPlan) -> tuple[str, ...]:
    shape = " × ".join(map(str, array.shape))
    return array.name, array.dtype, shape, str(array.reserved_bytes), str(array.touched_bytes), array.meaning


def _processor(scenario: Scenario, host: HostPlan) -> Iterator[str]:
    declared = next(each for each in scenario.hosts if each.name == host.name)
    has_events = any(phase.events for phase in host.phases)
    figures = list(parameters(declared, scenario.origins, has_events))
    assumed = sum(figure.is_assumed for figure in figures)
    yield f"processor: {_some(len(figures), 'figure')} used in mode {host.mode}, {assumed} of them assumed"
    yield from _indented(_aligned([_figure(figure) for figure in figures]))


def _figure(figure: Parameter) -> tuple[str, ...]:
    return figure.name, figure.value, figure.origin + " (assumed)" * figure.is_assumed


def _bounds(plan: Plan) -> Iterator[str]:
    touches = "as many as the traces hold" if plan.max_touches == UNLIMITED else str(plan.max_touches)
    memory = f"{plan.max_bytes} bytes ({rounded_size(plan.max_bytes)})"
    yield from _aligned([("memory", memory), ("touches", touches)])


def _some(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"{GAP}{line}".rstrip() for line in lines)


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Align the columns of some rows; those numbered in `right` to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            text.rjust(width) if place in right else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield GAP.join(cells).rstrip()
