"""From a Scenario to an OracleResult: the world before t = 0, the run, the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vmcfg.scenario.spec import PAGE_BYTES, Host, Run, Scenario, Vm, Workload

from .access import violation_cycles
from .core import Core
from .lines import lines_of_cores
from .memory import Entry, Frames, Memory
from .result import EVENTS, EXITS, FOUND, LOG_EXITS, SIZED, OracleResult
from .schedule import Schedule
from .streams import Scatter, Zipf
from .vcpu import Account, Records, Span, Vcpu, has_warmup, to_cycles

SIZE_LEVELS = {4 << 10: 1, 2 << 20: 2, 1 << 30: 3}  # the level of the entry that maps a page of so many bytes


def run(
    scenario: Scenario,
    traces: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    zipf: Zipf | None = None,
    scatter: Scatter | None = None,
) -> OracleResult:
    """Simulates every host of the scenario.

    `traces` maps Trace.file to its records (vpn, kind), kind 0 fetch, 1 load, 2 store, pages already mapped
    through their .vpn file. `zipf` and `scatter` draw what the oracle leaves to others: see `streams`.
    """
    records = {file: list(trace) for file, trace in (traces or {}).items()}
    machines = [_Machine(host, scenario, records, zipf, scatter) for host in scenario.hosts]
    for machine in machines:
        machine.schedule.simulate()
    accounts = {vm.name: _owner(machines, vm).accounts[vm.name] for vm in scenario.vms}
    memories = {vm.name: _owner(machines, vm).memories[vm.name] for vm in scenario.vms}
    return OracleResult(
        counters={name: account.counters for name, account in accounts.items()},
        exits={name: account.exits for name, account in accounts.items()},
        elapsed={name: [_elapsed(spans) for spans in account.spans] for name, account in accounts.items()},
        frames={machine.host.name: machine.frames.summary() for machine in machines},
        pages={name: memory.pages() for name, memory in memories.items()},
        clocks={machine.host.name: [core.clock for core in machine.schedule.cores] for machine in machines},
        pmap={name: memory.pmap for name, memory in memories.items()},
        guest_entries={name: _plain(memory.guest) for name, memory in memories.items()},
        host_entries={name: _plain(memory.ept) for name, memory in memories.items()},
    )


class _Machine:
    """One host with its VMs, set up in declaration order, whatever their start times."""

    def __init__(
        self, host: Host, scenario: Scenario, traces: dict[str, Records], zipf: Zipf | None, scatter: Scatter | None
    ) -> None:
        self.host = host
        self.frames = Frames(host.memory_pages)
        self.accounts: dict[str, Account] = {}
        self.memories: dict[str, Memory] = {}
        cores = [Core(host.cpu, lines, host.mmu.nested_caches) for lines in lines_of_cores(host.cpu, host.cores)]
        vcpus: list[Vcpu] = []
        for vm in scenario.vms:
            if vm.host == host.name:
                vcpus += self._power_on(vm, scenario, cores, len(vcpus), traces)
        for vcpu in vcpus:
            vcpu.core.asleep.append(vcpu)
        hz, timing = host.cpu.hz, scenario.run
        end = None if timing.duration_ns is None else to_cycles(timing.duration_ns, hz)
        quantum = to_cycles(host.quantum_ns, hz)
        slice_cycles = to_cycles(timing.slice_ns, hz)
        self.schedule = Schedule(cores, slice_cycles, quantum, end, scenario.seed, zipf, scatter)

    def _power_on(
        self, vm: Vm, scenario: Scenario, cores: list[Core], first_index: int, traces: dict[str, Records]
    ) -> list[Vcpu]:
        """EPT root, kernel pages, backing at start, the process's root table, populated pages: in this order."""
        workload = next(w for w in scenario.workloads if w.name == vm.workload)
        memory = _memory_of(vm, self.host, self.frames, scenario)
        account = _new_account(len(workload.phases), self.host)
        vcpus = []
        for number in range(vm.vcpus):
            index = first_index + number
            core = cores[index % len(cores)]
            vcpu = Vcpu(vm, number, self.host, core, memory, workload, scenario.run, account, traces)
            vcpu.index = index
            vcpus.append(vcpu)
        is_backed = vm.backing == "at_start" or not memory.is_nested
        is_apart = len(set(memory.host_sizes.values())) > 1
        _back_from_start(memory, vm.memory_pages if is_backed and not is_apart else vm.kernel_pages)
        _make_root(memory, vcpus[0], is_backed)
        tables = _populate_at_start(memory, workload, traces) if vm.populate == "at_start" else 0
        if is_backed:
            _back_from_start(memory, vm.memory_pages)
        account.counters[_first_row(scenario.run)]["guest_table_pages"] += 1 + tables
        self.memories[vm.name] = memory
        self.accounts[vm.name] = account
        return vcpus


def _memory_of(vm: Vm, host: Host, frames: Frames, scenario: Scenario) -> Memory:
    if host.mmu.mode != "nested":
        return Memory(vm, frames, 0)
    sizes = {"data": SIZE_LEVELS[host.mmu.page_size], "table": SIZE_LEVELS[host.mmu.table_page_size]}
    reserve = max((other.table_levels + 1) * host.mmu.host_levels for other in scenario.vms if other.host == host.name)
    return Memory(vm, frames, host.mmu.host_levels, sizes, reserve)


def _new_account(phases: int, host: Host) -> Account:
    rows = phases + 1
    is_large = max(host.mmu.page_size, host.mmu.table_page_size) > PAGE_BYTES
    counted = EVENTS + (FOUND if host.cpu.data_caches else ()) + (SIZED if is_large else ())
    return Account(
        counters=[dict.fromkeys(counted, 0) for _ in range(rows)],
        exits=[dict.fromkeys(EXITS[host.mmu.mode] + LOG_EXITS * host.mmu.pml, (0, 0)) for _ in range(rows)],
        spans=[[] for _ in range(rows)],
    )


def _first_row(run: Run) -> int:
    """Where work before the first touch is counted."""
    return 0 if has_warmup(run) else 1


def _back_from_start(memory: Memory, pages: int) -> None:
    """The first so many pages; where tables have sizes of their own, the process gets its pages before the others."""
    for ppn in range(pages):
        memory.back_at_no_cost(ppn, "data")


def _make_root(memory: Memory, vcpu: Vcpu, is_free: bool) -> None:
    """The frame is taken now; the exit that it took is paid by vCPU 0 at its first turn."""
    root = memory.take_ppn("table")
    memory.table_ppns.append(root)
    if root not in memory.pmap:
        pages, tables = memory.back(root, "table")
        if is_free:
            return
        vcpu.root_pages = pages
        vcpu.charges_before_start.append(("ept_violation_table", violation_cycles(vcpu, pages + tables)))


def _populate_at_start(memory: Memory, workload: Workload, traces: dict[str, Records]) -> int:
    """Maps every page of the address space, in ascending order; returns the number of tables made."""
    vpns = {region.base_vpn + page for region in workload.regions for page in range(region.pages)}
    for phase in workload.phases:
        if phase.trace is not None:
            vpns.update(vpn for vpn, _kind in traces[phase.trace.file])
    return sum(memory.map_page(vpn, memory.back_at_no_cost) for vpn in sorted(vpns))


def _owner(machines: list[_Machine], vm: Vm) -> _Machine:
    return next(machine for machine in machines if machine.host.name == vm.host)


def _elapsed(spans: list[Span]) -> int:
    """From the first entry to the last retirement, of the vCPUs that retired anything in the row."""
    used = [(span.began, span.retired) for span in spans if span.retired is not None]
    return max(retired for _, retired in used) - min(began for began, _ in used) if used else 0


def _plain(entries: dict[tuple[int, int], Entry]) -> dict[tuple[int, int], tuple[int, bool, bool]]:
    return {where: (entry.target, entry.accessed, entry.dirty) for where, entry in entries.items()}
