"""What is shown is what is counted: over a whole run, the steps of all accesses add up to the counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

import vmcfg
from vmcfg.metrics.events import EXIT_COUNT, Event, Exit
from vmcfg.trace import Access, Tracer, steps
from vmcfg.trace.paging_steps import PagingStep
from vmcfg.vmm import machine as at

SMALL = Path(__file__).with_name("small.yaml")
ROOMY = ("hosts.h.cpu.tlb.l1.entries=8", "hosts.h.cpu.tlb.l2=none")
EVENTS = ", ".join(
    f"{{kind: {kind}}}"
    for kind in (
        "fork, every: 90", "exit, every: 110", "exec, every: 130", "context_switch, every: 30",
        "munmap, every: 40, pages: 3", "mprotect, every: 50, pages: 3, to: read", "mmap, every: 70, pages: 2",
        "syscall, every: 60, kernel_pages: 2",
    )
)  # fmt: skip
BUSY = (
    f"workloads.mixed.phases=[{{pattern: {{kind: uniform, size: 256KiB}}, write: 50%, events: [{EVENTS}]}}]",
    "workloads.mixed.max_processes=3",
    "vms.web.kernel_memory=64KiB",
)
COLLAPSING = (
    "workloads.mixed.phases=[{pattern: {kind: uniform, size: 2MiB}, write: 50%, "
    "events: [{kind: collapse, every: 150}, {kind: munmap, every: 180, pages: 2}]}]"
)
ONE_TLB = "hosts.h.cpu.tlb={l1: {entries: 4, ways: 2}, l2: {entries: 16, ways: 4}, l1_2m: shared, l2_2m: shared}"
MACHINES = {
    "nested": (),
    "nested without VPID": ("mmu.vpid=false",),
    "nested without walk caches": ("cpu.walk_caches=none", "cpu.nested_tlb=none"),
    "nested, pages zeroed by nobody": ("vms.web.zero_on_fault=false",),
    "nested, everything there": ("vms.web.populate=at_start", "vms.web.backing=at_start"),
    "nested, a nested TLB for all pages": (
        "mmu.nested_caches=2d_nested_tlb_data",
        "cpu.nested_tlb={entries: 6, ways: 3, policy: plru}",
        "cpu.walk_caches.host.pde={entries: 8, ways: 2, index: xor}",
    ),
    "nested, modified pages logged": ("mmu.pml=true", "cpu.features=[ept, vpid, ept_ad, pml]"),
    "nested, modified pages asked for": ("mmu.dirty_log={every: 1h}", "cpu.features=[ept, vpid, ept_ad, pml]"),
    "nested, write-protected": ("mmu.dirty_log={every: 1h}", "cpu.features=[ept, vpid, ept_ad]", *BUSY),
    "native": ("mmu.mode=native",),
    "native, one TLB": ("mmu.mode=native", *ROOMY),
    "nested, data caches": ("hosts.h.cpu.data_caches={l1: {size: 1KiB, ways: 2}, l2: {size: 3KiB, ways: 4}}",),
    "native, data caches": ("mmu.mode=native", "hosts.h.cpu.data_caches={l1: {size: 256B, ways: 1}, llc: none}"),
    "shadow": ("mmu.mode=shadow",),
    "shadow, fills at writes": ("mmu.mode=shadow", "mmu.shadow={installs_on_write: true, bypass_not_present: true}"),
    "shadow, out of sync": ("mmu.mode=shadow", "mmu.shadow.variant=unsync", "mmu.vpid=false"),
    "native, a busy kernel": ("mmu.mode=native", *BUSY),
    "nested, a busy kernel": BUSY,
    "nested, large pages that are split": ("vms.web.page_size=2MiB", *BUSY),
    "PAE, a busy kernel": ("vms.web.page_table=pae", *BUSY),
    "two levels, a busy kernel": ("vms.web.page_table=2_level", *BUSY),
    "native, small pages that collapse": ("mmu.mode=native", "vms.web.memory=16MiB", ONE_TLB, COLLAPSING),
    "nested, host pages that are promoted": ("hosts.h.memory=32MiB", "mmu.promote={every: 50, max_absent: 511}"),
    "shadow, pieces of large pages": ("mmu.mode=shadow", "vms.web.page_size=2MiB", *BUSY),
    "shadow, large host pages": (
        "mmu.mode=shadow", "mmu.page_size=2MiB", "hosts.h.memory=64MiB", "vms.web.page_size=2MiB",
        "vms.web.memory=16MiB", ONE_TLB,
    ),
    "shadow, a busy kernel": ("mmu.mode=shadow", "mmu.shadow={installs_on_write: true}", *BUSY),
    "paced": ("workloads.mixed.phases=[{pattern: {kind: uniform, size: 256KiB}, write: 50%, rate: 1M/s}]",),
}


KINDS: dict[tuple[str, ...], set[type]] = {}
"""Of steps, which a machine has shown that has been watched."""


class Watched(NamedTuple):
    """All accesses of a run, its machine's counters and free frames, and the free frames that it began with."""

    accesses: list[Access]
    counters: list[int]
    free_frames: int
    free_at_start: int


def watched(sets: tuple[str, ...]) -> Watched:
    tracer = Tracer(vmcfg.load(SMALL, sets).plan())
    free = free_frames(tracer)
    accesses = []
    while (access := tracer.access(len(accesses) + 1)) is not None:
        accesses.append(access)
    KINDS[sets] = {type(step) for access in accesses for step in flat(access.steps)}
    return Watched(accesses, counters(tracer), free_frames(tracer), free)


@pytest.fixture(scope="module", params=MACHINES.values(), ids=MACHINES.keys())
def run(request: pytest.FixtureRequest) -> Watched:
    return watched(request.param)


def counters(tracer: Tracer) -> list[int]:
    return [int(count) for count in tracer.machine.counters.sum(axis=0)]


def free_frames(tracer: Tracer) -> int:
    return int(tracer.machine.host.counts[at.FRAME_FREE])


def of(accesses: list[Access], kind: type) -> list:
    return [step for access in accesses for step in access.all(kind)]


def references(walks: list[steps.Walk]) -> int:
    return sum(len([step for step in flat(walk.steps) if isinstance(step, steps.Reference)]) for walk in walks)


def flat(some: tuple[steps.Step, ...]) -> list[steps.Step]:
    return [inner for step in some for inner in (step, *flat(getattr(step, "steps", ())))]


def test_every_reference_is_shown(run: Watched) -> None:
    """References of complete walks, of walks that fault and of dirty walks, as the counters have them."""
    accesses, count = run.accesses, run.counters
    walks = of(accesses, steps.Walk)
    dirty = [walk for walk in walks if walk.is_dirty_walk and walk.end == "complete"]
    complete = [walk for walk in walks if walk.end == "complete" and not walk.is_dirty_walk]
    faulting = [walk for walk in walks if walk.end != "complete"]
    assert count[Event.WALK_REFS] == references(complete)
    assert count[Event.FAULT_REFS] == references(faulting)
    assert count[Event.DIRTY_REFS] == references(dirty)
    assert (count[Event.WALKS], count[Event.DIRTY_WALKS]) == (len(complete), len(dirty))
    assert count[Event.WALK_CYCLES] == sum(walk.cycles for walk in walks)


def test_references_are_numbered_within_a_walk(run: Watched) -> None:
    """1, 2, 3 …, and each in the dimension that its walk counts it in."""
    for walk in of(run.accesses, steps.Walk):
        seen = [step for step in flat(walk.steps) if isinstance(step, steps.Reference)]
        by_dimension = Counter(step.dimension for step in seen)
        assert list(range(1, len(seen) + 1)) == [step.number for step in seen]
        of_the_vmm = by_dimension["host"] + by_dimension["shadow"]
        assert (walk.guest_refs, walk.host_refs) == (by_dimension["guest"], of_the_vmm)


def test_every_hit_is_shown(run: Watched) -> None:
    """Hits of both TLBs, of the walk caches of both dimensions and of the nested TLB.

    A store that hits, and may not be made there, begins anew: its hit is shown, and counts for nothing.
    """
    accesses, count = run.accesses, run.counters
    hits = Counter(
        "nested" if probe.cache == "nested TLB" else probe.dimension if probe.dimension != "tlb" else probe.cache
        for probe in of(accesses, steps.Probe)
        if probe.way is not None and probe.serves
    )
    hits -= Counter(undone_hits(accesses))
    expected = (Event.L1_HITS, Event.STLB_HITS, Event.GUEST_WALK_CACHE_HITS, Event.HOST_WALK_CACHE_HITS)
    found = [hits[name] for name in ("L1 TLB", "L2 TLB", "guest")]
    assert [count[event] for event in expected] == [*found, hits["host"] + hits["shadow"]]
    assert count[Event.NESTED_TLB_HITS] == hits["nested"]


def undone_hits(accesses: list[Access]) -> Iterator[str]:
    """Yield the TLB that was hit before each dirty walk that ended in a fault."""
    for access in accesses:
        hit = ""
        for step in flat(access.steps):
            if isinstance(step, steps.Probe) and step.dimension == "tlb" and step.way is not None:
                hit = step.cache
            if isinstance(step, steps.Walk) and step.is_dirty_walk and step.end.endswith("fault"):
                yield hit


def test_every_fault_exit_and_frame_is_shown(run: Watched) -> None:
    """Guest faults, entries written, exits by reason, and the frames that the run has taken."""
    accesses, count = run.accesses, run.counters
    exits = Counter(step.reason for step in of(accesses, steps.Exit))
    # The root's violation, which comes before the run, is charged when vCPU 0 is first given a core.
    assert count[EXIT_COUNT + Exit.EPT_VIOLATION_TABLE] - exits["ept_violation_table"] in (0, 1)
    assert count[EXIT_COUNT + Exit.EPT_VIOLATION_DATA] == exits["ept_violation_data"]
    assert count[EXIT_COUNT + Exit.HIDDEN_FAULT] - exits["hidden_fault"] in (0, 1)
    for reason in (Exit.TRUE_FAULT, Exit.TRACE_FAULT):
        assert count[EXIT_COUNT + reason] == exits[reason.name.lower()]
    written = count[EXIT_COUNT + Exit.WRITE_PROTECTED]
    assert written == exits["write_protected"]
    assert count[Event.PAGES_LOGGED] == written + len(of(accesses, steps.LogPage))
    assert count[Event.GUEST_FAULTS] == len(of(accesses, steps.GuestFault))
    assert count[Event.CR3_LOADS] == len(of(accesses, steps.LoadCr3))
    assert count[Event.GPT_WRITES] == len(of(accesses, steps.WriteEntry))
    taken = sum(step.frames for step in of(accesses, steps.TakeFrame))
    assert run.free_at_start - run.free_frames == taken - len(of(accesses, steps.GiveFrame))


def test_the_parts_are_the_time(run: Watched) -> None:
    """Each access ends when its parts say, and the next begins there unless something lies between."""
    accesses = run.accesses
    for access in accesses:
        assert access.end_clock - access.start_clock == sum(access.parts.values())
    for before, access in pairwise(accesses):
        assert access.start_clock - before.end_clock == access.idle_cycles


def test_all_kinds_of_steps_happen_somewhere() -> None:
    """The machines above would prove little if they did not walk, hit, fault, exit, drop, flush and set D."""
    for sets in MACHINES.values():
        if sets not in KINDS:
            watched(sets)
    seen = set().union(*KINDS.values())
    of_paging = set(PagingStep.__args__)  # these are seen where memory is short
    assert set(steps.Step.__args__) - of_paging == seen - of_paging
