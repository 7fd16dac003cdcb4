"""Direct paging: hardware sees what it sees on bare metal, and the VMM is asked for just what a naive one is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from machines import examples
from oracle import tiny
from running import machines_of, run_to_the_end

from vmcfg.engine.invariants import check_machine
from vmcfg.metrics.events import EXIT_COUNT, EXIT_CYCLES_BY_REASON, Event, Exit
from vmcfg.scenario.spec import GuestEvent, Scenario
from vmcfg.trace.twin import Arguments, Run, Twin, Watcher
from vmcfg.vmm import machine as at

KINDS = ("context_switch", "fork", "exit", "exec", "mmap", "munmap", "mprotect")
COUNTED = (Event.MMU_UPDATES, Event.TABLES_VALIDATED, Event.VALIDATED_ENTRIES)
PAGES = 12


class NaiveVmm:
    """Hears what the guest does and looks, each time, at all tables that a root which is referred to leads to."""

    def __init__(self, machine: at.Machine, batch: int, pins: bool) -> None:
        self.machine = machine
        self.batch = batch
        self.pins = pins
        self.roots: Counter[int] = Counter()
        self.queued = 0
        self.counts: Counter[str] = Counter()
        processes = machine.guests.process
        for process in np.flatnonzero(processes[:, at.IS_LIVE]) if pins else machine.vcpu[:, at.PROCESS]:
            self.roots.update(self.roots_of(int(process)))

    def watchers(self) -> dict[str, Watcher]:
        return {
            "vmcfg.mmu.tables.gpt_write": self.write,
            "vmcfg.mmu.privileged.load_root": self.load_root,
            "vmcfg.mmu.privileged.invalidate": self.call,
            "vmcfg.mmu.privileged.leave_kernel": self.leave,
            "vmcfg.mmu.privileged.begin_space": self.begin,
            "vmcfg.mmu.privileged.end_space": self.end,
        }

    def roots_of(self, process: int) -> set[int]:
        row = self.machine.guests.process[process]
        return {int(row[at.ROOT_TABLE]), int(row[at.KERNEL_ROOT_TABLE])}

    def live(self) -> set[int]:
        """The tables that hardware could come to walk."""
        levels = int(self.machine.guests.vm[0, at.LEVELS])
        found = reached = {root for root, times in self.roots.items() if times}
        for _ in range(levels - 1):
            reached = {int(entry) >> at.CHILD_SHIFT for table in reached for entry in self.present(table)}
            found = found | reached
        return found

    def present(self, table: int) -> np.ndarray:
        entries = self.machine.guests.tables[table * 512 : table * 512 + 512]
        return entries[entries & at.PRESENT != 0]

    def write(self, run: Run, given: Arguments) -> Any:
        before = self.live()
        result = run()
        if int(given["slot"]) // 512 in before:
            self.counts["mmu_updates"] += 1
            self.queued += 1
            self.check(before)
            if self.queued == self.batch:
                self.call()
        return result

    def call(self, run: Run | None = None, given: Arguments | None = None) -> Any:
        self.counts["hypercall"] += 1
        self.queued = 0
        return run() if run else None

    def leave(self, run: Run, given: Arguments) -> Any:
        if self.queued:
            self.call()
        return run()

    def load_root(self, run: Run, given: Arguments) -> Any:
        before = self.live()
        if not self.pins and given["before"] != given["process"]:
            self.roots.update(self.roots_of(given["process"]))
            self.roots.subtract(self.roots_of(given["before"]))
            self.check(before)
        return self.call(run)

    def begin(self, run: Run, given: Arguments) -> Any:
        before = self.live()
        if not self.pins:
            return run()
        self.roots.update(self.roots_of(given["process"]))
        self.check(before)
        return self.call(run)

    def end(self, run: Run, given: Arguments) -> Any:
        if not self.pins:
            return run()
        self.roots.subtract(self.roots_of(given["process"]))
        return self.call(run)

    def check(self, before: set[int]) -> None:
        """What is live and was not before has been checked whole."""
        self.counts["tables_validated"] += len(self.live() - before)


@st.composite
def guests(draw: Any, mode: str = "paravirt", write_ppm: int = 500_000) -> Scenario:
    """One VM with a few processes and pages, and events of all kinds."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    access = st.sampled_from(("read", "read_write"))
    events = tuple(
        GuestEvent(kind, draw(st.integers(1, 40)), 1, 0, draw(st.integers(1, 9)), to=draw(access)) for kind in kinds
    )
    phase = tiny.phase("uniform", accesses=120, write_ppm=write_ppm, events=events)
    processes = draw(st.integers(1, 3))
    runs = evolve(tiny.workload(phase, pages=PAGES), processes=processes, max_processes=processes + 1)
    vm = tiny.vm(backing="at_start", populate=draw(st.sampled_from(("on_touch", "at_start"))), kpti=draw(st.booleans()))
    on = tiny.host(mode, vpid=False, cpu=tiny.processor(l1_tlb=tiny.cache(4)))
    mmu = evolve(on.mmu, batch_updates=draw(st.sampled_from((1, 2, 5, 32))), pins_roots=draw(st.booleans()))
    return tiny.scenario(vm, on=evolve(on, mmu=mmu), runs=runs, seed=draw(st.integers(0, 3)))


@given(guests())
@examples(25)
def test_the_vmm_is_asked_and_checks_as_often_as_a_naive_one(scenario: Scenario) -> None:
    """Updates, hypercalls, and tables checked because something made them live."""
    ((host, machine),) = machines_of(scenario)
    naive = NaiveVmm(machine, host.batch_updates, host.pins_roots)
    Twin(naive.watchers()).module("vmcfg.engine.loop").run(machine, host.run_end)
    check_machine(host, machine)
    total = machine.counters.sum(axis=0)
    found = {event.name.lower(): int(total[event]) for event in COUNTED}
    expected = {name: naive.counts[name] for name in ("mmu_updates", "tables_validated")}
    assert expected | {"validated_entries": expected["mmu_updates"] + 512 * expected["tables_validated"]} == found
    assert naive.counts["hypercall"] == total[EXIT_COUNT + Exit.HYPERCALL]


@given(guests())
@examples(60)
def test_hardware_does_what_it_does_on_bare_metal(scenario: Scenario) -> None:
    """But for exits and time, no counter tells the two modes apart."""
    (on,) = scenario.hosts
    native = evolve(scenario, hosts=(evolve(on, mmu=evolve(on.mmu, mode="native")),))
    rows = []
    for each in (scenario, native):
        ((host, machine),) = machines_of(each)
        run_to_the_end(host, machine)
        rows.append({event.name: int(machine.counters[:, event].sum()) for event in Event if event not in COUNTED})
    assert rows[0] | {"EXIT_CYCLES": 0} == rows[1]


def exits_of(batch: int, pages: int) -> tuple[int, int]:
    """Return (count, cycles) of the hypercalls by which so many pages are unmapped at once."""
    munmap = GuestEvent("munmap", pages, 1, 0, pages)
    runs = tiny.workload(tiny.phase(accesses=pages, events=(munmap,)), pages=pages)
    on = tiny.host("paravirt", vpid=False)
    on = evolve(on, mmu=evolve(on.mmu, batch_updates=batch))
    ((host, machine),) = machines_of(tiny.scenario(tiny.vm_at_start(), on=on, runs=runs))
    run_to_the_end(host, machine)
    total = machine.counters.sum(axis=0)
    return int(total[EXIT_COUNT + Exit.HYPERCALL]), int(total[EXIT_CYCLES_BY_REASON + Exit.HYPERCALL])


@pytest.mark.parametrize(("batch", "calls"), [(1, 101), (32, 4), (100, 2), (200, 1)])
def test_a_batch_goes_when_it_is_full_or_the_tlb_is_flushed(batch: int, calls: int) -> None:
    """100 entries are written, then CR3 is reloaded. A call is 1000 + 160 cycles, the check of an entry 6."""
    assert (calls, calls * 1160 + 100 * 6) == exits_of(batch, 100)
