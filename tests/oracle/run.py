"""From a Scenario to an OracleResult: the world before t = 0, the run, the figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vmcfg.scenario.spec import PAGE_BYTES, Host, Run, Scenario, Vm, Workload

from .core import Core
from .disks import Queue
from .host_paging import HostPager
from .lines import lines_of_cores
from .memory import Entry, Frames, Memory, Place
from .pressure import Pressure
from .result import (
    BALLOON_EXITS,
    COMPRESSION_EXITS,
    EVENTS,
    EXITS,
    FOUND,
    LOG_EXITS,
    PAGING_EXITS,
    POWER_EXITS,
    PROMOTION_EXITS,
    SIZED,
    Leaf,
    OracleResult,
)
from .schedule import Schedule
from .shadow import ShadowMmu
from .shadow_tables import ShadowTables
from .shared_memory import SharedMemory
from .spaces import Process, Spaces
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
    spaces = {vm.name: _owner(machines, vm).spaces[vm.name] for vm in scenario.vms}
    memories = {name: each.memory for name, each in spaces.items()}
    return OracleResult(
        counters={name: account.counters for name, account in accounts.items()},
        exits={name: account.exits for name, account in accounts.items()},
        elapsed={name: [_elapsed(spans) for spans in account.spans] for name, account in accounts.items()},
        frames={machine.host.name: machine.frames.summary() for machine in machines},
        pages={name: each.memory.pages(each.table_pages()) | each.large_pages() for name, each in spaces.items()},
        kills={name: each.kills for name, each in spaces.items()},
        clocks={machine.host.name: [core.clock for core in machine.schedule.cores] for machine in machines},
        pmap={name: memory.pmap for name, memory in memories.items()},
        spaces={name: dict(_plain_spaces(each)) for name, each in spaces.items()},
        sharers={name: memory.sharers for name, memory in memories.items()},
        host_entries={name: _without_w(_plain(memory.ept)) for name, memory in memories.items()},
    )


class _Machine:
    """One host with its VMs, set up in declaration order, whatever their start times."""

    def __init__(
        self, host: Host, scenario: Scenario, traces: dict[str, Records], zipf: Zipf | None, scatter: Scatter | None
    ) -> None:
        self.host = host
        self.frames = Frames(host.memory_pages)
        self.accounts: dict[str, Account] = {}
        self.spaces: dict[str, Spaces] = {}
        self.disks = [Queue(disk, host.cpu.hz) for disk in host.disks]
        self.pager: HostPager | None = None
        own = [vm for vm in scenario.vms if vm.host == host.name]
        memories = [_memory_of(vm, host, self.frames, scenario) for vm in own]
        if host.paging or any(vm.reclaim or vm.balloon or vm.oom == "kill" for vm in own):
            self.pager = HostPager(host, memories, scenario.seed, self.disks)
        cores = [Core(host.cpu, lines, host.mmu.nested_caches) for lines in lines_of_cores(host.cpu, host.cores)]
        vcpus: list[Vcpu] = []
        shadows: dict[str, ShadowTables] = {}
        for vm, memory in zip(own, memories, strict=True):
            vcpus += self._power_on(vm, memory, scenario, cores, len(vcpus), traces)
        for vcpu in vcpus:
            vcpu.core.asleep.append(vcpu)
            if host.mmu.shadow and host.mmu.mode == "shadow":
                vcpu.shadow = ShadowMmu(vcpu, host.mmu.shadow, shadows.setdefault(vcpu.vm.name, ShadowTables()))
        hz, timing = host.cpu.hz, scenario.run
        end = None if timing.duration_ns is None else to_cycles(timing.duration_ns, hz)
        quantum = to_cycles(host.quantum_ns, hz)
        slice_cycles = to_cycles(timing.slice_ns, hz)
        self.schedule = Schedule(cores, slice_cycles, quantum, end, scenario.seed, zipf, scatter)
        if self.pager:
            self.schedule.pressure = Pressure(host, vcpus, self.pager, scenario.seed, self.disks, slice_cycles)
            self._note_what_is_mapped()

    def _note_what_is_mapped(self) -> None:
        """Pages that were mapped before there were pagers."""
        for spaces in self.spaces.values():
            for process in spaces.living():
                for vpn, _, leaf in process.space.mappings():
                    assert spaces.memory.guest
                    spaces.memory.guest.note_mapped(process.space, vpn, leaf.target)

    def _power_on(
        self, vm: Vm, memory: Memory, scenario: Scenario, cores: list[Core], first_index: int,
        traces: dict[str, Records],
    ) -> list[Vcpu]:
        """EPT root, kernel pages, backing at start, the kernel's tables, the processes: in this order."""
        workload = next(w for w in scenario.workloads if w.name == vm.workload)
        memory.shared = SharedMemory(workload.regions)
        memory.power_on()
        is_backed = vm.backing == "at_start" or self.host.mmu.mode == "native"
        is_apart = len(set(memory.host_sizes.values())) > 1
        _back_from_start(memory, vm.memory_pages if is_backed and not is_apart else vm.kernel_pages)
        spaces = Spaces(memory, workload.max_processes, vm.kpti, workload.kernel_accesses)
        account = _new_account(1 + len(workload.phases), self.host, memory.may_be_large, scenario)
        violations: list[tuple[int, int]] = []
        tables = _make_processes(spaces, workload, traces, violations)
        account.counters[_first_row(scenario.run)]["guest_table_pages"] += tables
        spaces.large_at_start = spaces.count_large()
        vcpus: list[Vcpu] = []
        for number in range(vm.vcpus):
            index = first_index + number
            core = cores[index % len(cores)]
            vcpu = Vcpu(vm, number, self.host, core, spaces, workload, scenario.run, account, traces)
            vcpu.index = index
            vcpu.siblings = vcpus
            vcpu.cores = cores
            vcpus.append(vcpu)
        if is_backed:
            _back_from_start(memory, vm.memory_pages)
        else:
            vcpus[0].violations_before_start = violations
        self.spaces[vm.name] = spaces
        self.accounts[vm.name] = account
        return vcpus


def _memory_of(vm: Vm, host: Host, frames: Frames, scenario: Scenario) -> Memory:
    guest_size = SIZE_LEVELS[vm.page_size]
    others = [other for other in scenario.vms if other.host == host.name]
    collapsing = {workload.name for workload in scenario.workloads if workload.collapses}
    is_large = max(host.mmu.page_size, host.mmu.table_page_size, *(other.page_size for other in others)) > PAGE_BYTES
    is_large = is_large or any(other.workload in collapsing for other in others) or host.mmu.promotion is not None
    if host.mmu.mode not in ("nested", "shadow"):
        return Memory(vm, frames, 0, guest_size=guest_size, may_be_large=is_large)
    sizes = {"data": SIZE_LEVELS[host.mmu.page_size], "table": SIZE_LEVELS[host.mmu.table_page_size]}
    if host.mmu.mode == "shadow":
        reserve = max(2 * other.table_levels + 1 + _pages_at_once(other) - 1 for other in others)
        return Memory(vm, frames, 0, True, sizes, reserve, guest_size, is_large)
    reserve = max((other.table_levels + 1) * host.mmu.host_levels + _more_at_once(other) for other in others)
    return Memory(vm, frames, host.mmu.host_levels, False, sizes, reserve, guest_size, is_large)


def _more_at_once(vm: Vm) -> int:
    """Frames that zeroing a large page of the guest takes beyond those for one page: its others, and tables above."""
    return _pages_at_once(vm) - 1 + (_pages_at_once(vm) - 1) // 512


def _pages_at_once(vm: Vm) -> int:
    return next(pages for pages in (512 * 512, 512, 1) if pages <= min(vm.page_size // PAGE_BYTES, vm.memory_pages))


def _new_account(rows: int, host: Host, is_large: bool, scenario: Scenario) -> Account:
    vms = [vm for vm in scenario.vms if vm.host == host.name]
    names = {vm.workload for vm in vms}
    phases = [phase for workload in scenario.workloads if workload.name in names for phase in workload.phases]
    events = {event.kind for phase in phases for event in phase.events}
    exits = EXITS[host.mmu.mode] + LOG_EXITS * host.mmu.pml + PROMOTION_EXITS * bool(host.mmu.promotion)
    exits += PAGING_EXITS * bool(host.paging) + COMPRESSION_EXITS * bool(host.compression)
    exits += BALLOON_EXITS * any(vm.balloon for vm in vms)
    exits += POWER_EXITS * bool(events & {"power_off", "reboot"})
    counted = EVENTS + (FOUND if host.cpu.data_caches else ()) + (SIZED if is_large else ())
    return Account(
        counters=[dict.fromkeys(counted, 0) for _ in range(rows)],
        exits=[dict.fromkeys(exits, (0, 0)) for _ in range(rows)],
        spans=[[] for _ in range(rows)],
    )


def _first_row(run: Run) -> int:
    """Where work before the first touch is counted."""
    return 0 if has_warmup(run) else 1


def _back_from_start(memory: Memory, pages: int) -> None:
    """The first so many pages; where tables have sizes of their own, the process gets its pages before the others."""
    for ppn in range(pages):
        memory.back_at_no_cost(ppn, "data")


def _make_processes(
    spaces: Spaces, workload: Workload, traces: dict[str, Records], violations: list[tuple[int, int]]
) -> int:
    """The kernel's tables, then one process after the other; returns how many tables that took.

    Roots take their frames now; the exits that they took are paid by vCPU 0 at its first turn. `violations` gets the
    pages that each of these backed, and the EPT tables that it made.
    """
    memory = spaces.memory
    use = _BeforeTheRun(memory)
    tables = spaces.map_kernel(use)
    for slot in range(workload.processes):
        process = spaces.slots[slot] = Process(slot, spaces.new_space(_BeforeTheRun(memory, violations)))
        tables += len(process.space.roots)
        if memory.vm.populate == "at_start":
            tables += _populate(spaces, process, workload, traces, use)
    return tables


class _BeforeTheRun:
    """The guest's kernel at work before t = 0: whatever it takes gets a frame, and nothing costs anything yet."""

    def __init__(self, memory: Memory, violations: list[tuple[int, int]] | None = None) -> None:
        self.memory = memory
        self.violations = violations  # what each page took, if it is to be paid for later

    def prepare(self, ppn: int, kind: str) -> None:
        if ppn not in self.memory.pmap:
            taken = self.memory.back(ppn, kind)
            if self.violations is not None:
                self.violations.append(taken)

    def write(self, table: int, level: int, vpn: int, entry: Entry | None) -> None:
        """No VMM listens yet."""

    def read(self, ppn: int, slot: int) -> None:
        raise AssertionError("nothing is in a slot before the run")

    def free_table(self, ppn: int) -> None:
        raise AssertionError("nothing is freed before the run")


def _populate(
    spaces: Spaces, process: Process, workload: Workload, traces: dict[str, Records], use: _BeforeTheRun
) -> int:
    """Maps every page of the address space, in ascending order; returns the number of tables made."""
    vpns = {region.base_vpn + page for region in workload.regions for page in range(region.pages)}
    for phase in workload.phases:
        if phase.trace is not None:
            vpns.update(vpn for vpn, _kind in traces[phase.trace.file])
    return sum(
        spaces.map_page(process.space, vpn, use) for vpn in sorted(vpns) if not spaces.is_mapped(process.space, vpn)
    )


def _owner(machines: list[_Machine], vm: Vm) -> _Machine:
    return next(machine for machine in machines if machine.host.name == vm.host)


def _elapsed(spans: list[Span]) -> int:
    """From the first entry to the last retirement, of the vCPUs that retired anything in the row."""
    used = [(span.began, span.retired) for span in spans if span.retired is not None]
    return max(retired for _, retired in used) - min(began for began, _ in used) if used else 0


def _plain_spaces(spaces: Spaces) -> Iterator[tuple[Place, dict[Place, Leaf]]]:
    for root, entries in spaces.found_from_roots():
        yield root, _plain(entries)


def _plain(entries: dict[Place, Entry]) -> dict[Place, Leaf]:
    return {where: (e.target, e.accessed, e.dirty, e.writable) for where, e in entries.items()}


def _without_w(entries: dict[Place, Leaf]) -> dict[Place, tuple[int, bool, bool]]:
    return {where: entry[:3] for where, entry in entries.items()}
