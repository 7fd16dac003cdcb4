"""Random guest operations: what kernels do to their processes during the phases of random workloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve
from hypothesis import strategies as st

from vmcfg.scenario.spec import GuestEvent, Host, Phase, Rate, Region, Vm, Workload

OF_ONE_VCPU = ("fork", "exec", "exit")
TABLE_ENTRIES = 512
LARGE = 512  # pages: an event may concern a whole page of 2 MiB
MOST_OF_LARGE = 1000  # in a region that is not larger
KERNEL_VPN = 1 << 35  # with tables of four levels; nothing of a process may lie beyond


@st.composite
def operations(
    draw: Any, plain: Workload, has_kernel_half: bool, may_fork: bool = True, may_flush: bool = False
) -> Workload:
    """The workload with several processes, and with events in its phases; some of them make and end processes.

    `has_kernel_half`: no trace reaches into it. `may_flush`: guests have PCIDs of their own.
    """
    has_kernel_half &= all(region.base_vpn < KERNEL_VPN for region in plain.regions)
    kinds = ["syscall", "mmap", "munmap", "mprotect", "mprotect"]
    processes = draw(st.integers(1, 3))
    may_fork = may_fork and draw(st.booleans())
    spare = draw(st.integers(1, 2)) if may_fork else 0
    if may_flush:
        kinds += ["flush"] * 2
    if any(_ranges(region) for region in plain.regions):
        kinds += ["collapse"] * 3
    if processes + spare > 1:
        kinds += ["context_switch"] * 2
    if may_fork:
        kinds += [*["fork"] * 4, "exec", "exit"]
        plain = evolve(plain, phases=tuple(_with_stores(phase) for phase in plain.phases))
    phases = tuple(
        evolve(phase, events=draw(_events(phase, kinds, plain.regions, has_kernel_half))) for phase in plain.phases
    )
    if not any(event.kind == "fork" for phase in phases for event in phase.events):
        spare = 0
    return evolve(plain, phases=phases, processes=processes, max_processes=processes + spare)


def _with_stores(phase: Phase) -> Phase:
    """After a fork only stores show what is shared."""
    return phase if phase.trace else evolve(phase, write_ppm=max(phase.write_ppm, 300_000))


def _events(
    phase: Phase, kinds: list[str], regions: tuple[Region, ...], has_kernel_half: bool
) -> st.SearchStrategy[tuple[GuestEvent, ...]]:
    return st.lists(_event(phase, kinds, regions, has_kernel_half), max_size=5).map(tuple)


@st.composite
def _event(draw: Any, phase: Phase, kinds: list[str], regions: tuple[Region, ...], has_kernel_half: bool) -> GuestEvent:
    kind = draw(st.sampled_from(kinds))
    touches, times = draw(st.integers(1, 40)), 1
    if phase.accesses and draw(st.booleans()):
        touches, times = phase.accesses, draw(st.integers(1, phase.accesses))
    plain = GuestEvent(kind, touches, times)
    if draw(st.integers(0, 3)) == 0:  # so often in a few hundred cycles, or thousands
        plain = GuestEvent(kind, 0, 0, rate=Rate(draw(st.sampled_from((1_000_000, 90_000, 7_000_000))), 1))
    if kind == "syscall":
        return evolve(plain, kernel_pages=draw(st.sampled_from((1, 3, 30, 0) if has_kernel_half else (0,))))
    if kind == "flush":
        what = draw(st.sampled_from(("page", "page", "process", "all", "all_with_globals")))
        is_of_one = what in ("page", "process")
        region = draw(st.integers(0, len(regions) - 1)) if what == "page" else -1
        of_next = is_of_one and draw(st.booleans())
        return evolve(plain, what=what, region=region, pages=int(what == "page"), of_next=of_next)
    if kind == "collapse":
        region = draw(st.sampled_from([n for n, region in enumerate(regions) if _ranges(region)]))
        ranges, absent = draw(st.integers(1, 2)), draw(st.sampled_from((511, 511, 511, 500, 0)))
        return evolve(plain, region=region, ranges=ranges, max_absent=absent)
    if kind in ("mmap", "munmap", "mprotect"):
        region = draw(st.integers(0, len(regions) - 1))
        pages = draw(st.integers(1, min(40, regions[region].pages)))
        if LARGE < regions[region].pages < MOST_OF_LARGE and draw(st.booleans()):
            pages = draw(st.sampled_from((LARGE, regions[region].pages)))
        to = draw(st.sampled_from(("read", "read", "read_write"))) if kind == "mprotect" else ""
        return evolve(plain, region=region, pages=pages, to=to)
    return plain


@st.composite
def with_power(draw: Any, plain: Workload, places: list[tuple[Vm, Host]]) -> Workload:
    """The workload, or if all VMs that run it lie on hosts that can let them go, one with their end or new beginning.

    `places`: all VMs with their hosts.
    """
    places = [(vm, host) for vm, host in places if vm.workload == plain.name]
    if not places or any(host.mmu.mode == "native" for _, host in places) or draw(st.integers(0, 2)):
        return plain
    is_small = all(host.mmu.page_size == host.mmu.table_page_size and vm.vcpus == 1 for vm, host in places)
    kinds = ("power_off", "reboot", "reboot") if is_small and not plain.kernel_accesses else ("power_off",)
    event = GuestEvent(draw(st.sampled_from(kinds)), draw(st.integers(5, 120)), 1)
    number = draw(st.integers(0, len(plain.phases) - 1))
    phase = plain.phases[number]
    events = (event, *phase.events) if draw(st.booleans()) else (*phase.events, event)
    phases = (*plain.phases[:number], evolve(phase, events=events), *plain.phases[number + 1 :])
    return evolve(plain, phases=phases)


def _ranges(region: Region) -> int:
    """Count the aligned ranges of 2 MiB that lie whole in a region."""
    return max(0, (region.base_vpn + region.pages) // LARGE - -(-region.base_vpn // LARGE))


def all_events(workload: Workload) -> Iterator[GuestEvent]:
    return (event for phase in workload.phases for event in phase.events)


def most_vcpus(workload: Workload) -> int:
    """Processes come and go on one vCPU only."""
    return 1 if any(event.kind in OF_ONE_VCPU for event in all_events(workload)) else 3


def kernel_tables(vm: Vm, workload: Workload) -> int:
    """Count the tables of the kernel's memory, which they need if anybody accesses it."""
    levels = range(1, vm.table_levels)
    return sum(-(-vm.kernel_pages // TABLE_ENTRIES**level) for level in levels) if workload.kernel_accesses else 0
