"""The Plan's values: frozen, integers and names only. Cycles are those of the host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import frozen

from vmcfg.metrics.events import Found
from vmcfg.plan.disks import AreaPlan, DiskPlan, FilePlan, SharedPlan, pages_of
from vmcfg.plan.phases import PartPlan, PhasePlan
from vmcfg.scenario.spec import (
    CacheShape,
    Compression,
    DataCaches,
    DirtyLog,
    GuestReclaim,
    HostPaging,
    LargeTlbs,
    Promotion,
    Region,
    Scenario,
    ShadowPaging,
    Trace,
    Vm,
)

UNLIMITED = 1 << 62  # no end by this measure
USUAL_LEVELS = 4  # of page tables; fewer have 32 bits
REACH_32 = 3 << 18  # pages of a 32-bit address space that Linux gives programs


def pages_of_level(level: int) -> int:
    """Return how many pages of 4 KiB lie below a table entry of `level`."""
    return 1 << 9 * (level - 1)


def reach_of(vm: Vm) -> int:
    """Return how many pages a VM's programs can address: those of its memory while its paging is off."""
    if vm.table_levels >= USUAL_LEVELS:
        return 512**vm.table_levels
    return REACH_32 if vm.table_levels else vm.memory_pages


def bits_of(vm: Vm) -> int:
    """Return how many bits of a page number select an entry of a VM's tables: 10 where entries have 32 bits."""
    return 10 if vm.table_levels == 2 else 9


@frozen
class StorePlan:
    """One translation cache of a core; `number` is its place among the core's stores."""

    number: int
    name: str
    shape: CacheShape | None


@frozen
class VmPlan:
    """A VM on its host: where its pages, counters and phases lie in the host's arrays."""

    vm: Vm
    base: int  # gpid of its page 0
    first_row: int  # of its counters: the warm-up; phases follow
    first_phase: int
    phases: int
    regions: tuple[Region, ...]
    max_tables: int  # guest page-table pages that it can come to have
    max_shadows: int  # of these, or of their entries, that can come to have a shadow at once
    touched_pages: int  # guest pages that can come to be used, tables included
    page_level: int  # of its own tables' leaf for data pages: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
    ept_offsets: Mapping[int, int]  # level -> its first entry in the host's `ept`; empty in native
    first_process: int  # of its process slots, counted over the host
    processes: int  # at the start
    slots: int  # at most at once
    kernel_pages: int  # of its kernel's memory that have page tables: none where nobody accesses it


@frozen
class VcpuPlan:
    """One vCPU: whose it is, where it runs, from when on and for how much work. Times are cycles."""

    name: str  # web-2/0, also the name of its stream
    vm: int
    ordinal: int
    core: int
    wake: int
    first_mark: int
    is_warm: bool
    warm_touches: int
    warm_deadline: int
    run_touches: int


@frozen
class ArrayPlan:
    """One array of the machine: its shape, what is allocated, and how much of that a run can come to touch."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    meaning: str
    item_bytes: int
    touched_bytes: int

    @property
    def reserved_bytes(self) -> int:
        """Return what is allocated, touched or not."""
        total = self.item_bytes
        for length in self.shape:
            total *= length
        return total


@frozen
class HostPlan:
    """One host, as its machine is to be built: times in cycles, names as places in arrays."""

    name: str
    mode: str
    hz: int
    cores: int
    frames: int
    slice_cycles: int
    quantum_cycles: int
    run_end: int  # clock at which all cores stop, UNLIMITED if the work decides
    host_levels: int  # of the host's tables: 1 for flat ones, 0 in native
    page_level: int  # of the host table's leaf for data pages: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB
    table_page_level: int  # the same for the pages of guest tables
    reserve_frames: int  # free frames that a missing access must find before it starts
    costs: Mapping[str, int]
    walkers: int
    has_vpid: bool
    has_ept_ad: bool
    has_pml: bool  # modified pages are logged
    dirty_log: DirtyLog | None  # the VMM asks what has been modified
    has_pcid: bool
    batch_updates: int  # of page-table entries in one hypercall of `paravirt`
    pins_roots: bool
    shadow: ShadowPaging | None  # how, in mode shadow
    stores: tuple[StorePlan, ...]
    nested_tlb_holds_data: bool  # beside guest table pages
    large_tlbs: LargeTlbs | None
    promotion: Promotion | None
    data_caches: DataCaches | None  # None: a reference of a walk costs costs["walk_reference"]
    disks: tuple[DiskPlan, ...]  # none where nothing lies on any
    areas: tuple[AreaPlan, ...]  # the host's swap area and each guest's, of no slots where there is none
    files: tuple[FilePlan, ...]
    shared: tuple[SharedPlan, ...]
    paging: HostPaging | None
    has_tlb: bool
    compression: Compression | None
    vms: tuple[VmPlan, ...]
    vcpus: tuple[VcpuPlan, ...]
    phases: tuple[PhasePlan, ...]
    rows: int
    marks: int
    ept_entries: int
    arrays: tuple[ArrayPlan, ...]
    max_touches: int  # UNLIMITED where only a trace knows
    scheduled_cycles: int  # likewise: how long starts and paced touches can draw the run out

    @property
    def pages(self) -> int:
        """Guest pages of the host, counted in gpids."""
        return self.vms[-1].base + self.vms[-1].vm.memory_pages

    @property
    def has_large_pages(self) -> bool:
        """Tell whether any page may be larger than 4 KiB."""
        collapses = any(plan.event.kind == "collapse" for phase in self.phases for plan in phase.events)
        is_making = collapses or self.promotion is not None
        return is_making or max(self.page_level, self.table_page_level, *(plan.page_level for plan in self.vms)) > 1

    @property
    def has_power_events(self) -> bool:
        """Tell whether any guest is powered off, or reboots."""
        kinds = {plan.event.kind for phase in self.phases for plan in phase.events}
        return bool(kinds & {"power_off", "reboot"})

    @property
    def has_balloons(self) -> bool:
        """Tell whether any guest has a balloon driver."""
        return any(plan.vm.balloon for plan in self.vms)

    @property
    def guests_reclaim(self) -> tuple[GuestReclaim, ...]:
        """Return how those guests do that free their memory, to swap areas of their own or from their page caches."""
        return tuple(plan.vm.reclaim for plan in self.vms if plan.vm.reclaim)

    @property
    def tells(self) -> bool:
        """Tell whether any replacement policy, of the host or a guest, is told of every access."""
        return any(how.is_told for how in (self.paging, *self.guests_reclaim) if how)

    def foresees(self, plan: VmPlan) -> bool:
        """Tell whether a policy, of the host or of the guest itself, must know what a VM will access."""
        return any(how.foresees for how in (self.paging, plan.vm.reclaim) if how)

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names of files, each once: several guests may have one of the same name."""
        return tuple(dict.fromkeys(file.name for file in self.files))

    @property
    def file_pages(self) -> int:
        """Pages of all guests' files, and one behind each, and of their shared memory."""
        return pages_of(self.files) + sum(region.pages for region in self.shared)

    @property
    def table_block(self) -> int:
        """Pages of the ranges that guest tables have for themselves; 0 where they may lie among the data."""
        if self.page_level == self.table_page_level:
            return 0
        return pages_of_level(max(self.page_level, self.table_page_level))

    @property
    def traces(self) -> Iterator[Trace]:
        """What is replayed on the host."""
        return (phase.trace for phase in self.phases if phase.trace)

    @property
    def reach_pages(self) -> int:
        """Pages that every guest can address at least: what a trace may name."""
        return min(reach_of(plan.vm) for plan in self.vms)

    @property
    def latencies(self) -> Mapping[str, int] | None:
        """Cycles of a walk's reference by the counter of where it was found; None where all cost the same."""
        if self.data_caches is None:
            return None
        levels = (self.data_caches.l1, self.data_caches.l2, self.data_caches.llc)
        cycles = [level.latency if level else 0 for level in levels] + [self.data_caches.memory_latency]
        return {found.name.lower(): cycles[found] for found in Found}

    @property
    def parts(self) -> tuple[PartPlan, ...]:
        """Parts of all mixtures, phase after phase: the rows behind those of the phases."""
        return tuple(part for phase in self.phases for part in phase.parts)

    def phases_of(self, vcpu: VcpuPlan) -> tuple[PhasePlan, ...]:
        """Return the phases of a vCPU's workload, in order."""
        vm = self.vms[vcpu.vm]
        return self.phases[vm.first_phase : vm.first_phase + vm.phases]

    @property
    def process_slots(self) -> int:
        """Processes that the host's guests can have at once."""
        return sum(vm.slots for vm in self.vms)

    @property
    def shadow_pages(self) -> int:
        """Shadow pages that there can come to be, and one that stands for none; 0 in other modes."""
        if self.shadow is None:
            return 0
        own = self.shadow.variant == "virtual_tlb"  # each vCPU has its own
        pages = sum(vm.max_shadows * (vm.vm.vcpus if own else 1) for vm in self.vms)
        return 1 + min(pages, self.frames)  # each takes a frame

    @property
    def max_tables(self) -> int:
        return sum(vm.max_tables for vm in self.vms)

    @property
    def table_nodes(self) -> int:
        """Runs of 512 entries that each of these tables takes: all two, if any of them has 1,024 entries."""
        return max(2 ** bits_of(plan.vm) for plan in self.vms) // 512


@frozen
class Plan:
    """The engine pipeline of a scenario, compiled: what will be run, in which order, and how large it is."""

    scenario: Scenario
    digest: str  # of the resolved scenario, its inputs and the engine's semantics
    hosts: tuple[HostPlan, ...]

    @property
    def max_bytes(self) -> int:
        return sum(array.touched_bytes for host in self.hosts for array in host.arrays)

    @property
    def max_touches(self) -> int:
        return min(UNLIMITED, sum(host.max_touches for host in self.hosts))
