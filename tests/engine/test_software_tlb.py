"""A software-managed TLB: the VMM's own is a dictionary, and the guest does what it does where hardware walks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from machines import examples
from oracle import tiny
from running import machines_of, run_to_the_end
from test_paravirt import guests

from vmcfg.engine.invariants import check_machine
from vmcfg.metrics.events import EXIT_COUNT, Event, Exit
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import Scenario
from vmcfg.trace import Tracer, steps
from vmcfg.trace.twin import Arguments, Run, Twin, Watcher
from vmcfg.vmm import machine as at

ENTRIES = 7
SAME = (
    Event.ACCESSES, Event.L1_HITS, Event.STLB_HITS, Event.WALKS, Event.GPT_WRITES, Event.GUEST_FAULTS, Event.COW_FAULTS,
    Event.WRITE_FAULTS, Event.CR3_LOADS, Event.INVLPGS, Event.FORKS, Event.PROCESS_EXITS, Event.GUEST_TABLE_PAGES,
)  # fmt: skip


class NaiveTlb:
    """The VMM's TLB as a dictionary, the least recently used page first, beside the engine's."""

    def __init__(self) -> None:
        self.dirty_by_page: OrderedDict[tuple[int, int], bool] = OrderedDict()
        self.hits = 0

    def watchers(self) -> dict[str, Watcher]:
        return {
            "vmcfg.mmu.software_tlb.knows": self.knows,
            "vmcfg.mmu.software_tlb.write": self.write,
            "vmcfg.hardware.core.drop_page": self.drop,
            "vmcfg.hardware.core.flush_linear": self.flush,
        }

    def knows(self, run: Run, given: Arguments) -> Any:
        page = int(given["walker"].space), int(given["vpn"])
        is_hit = page in self.dirty_by_page and (self.dirty_by_page[page] or not given["is_store"])
        if is_hit:
            self.dirty_by_page.move_to_end(page)
            self.hits += 1
        assert is_hit == run()
        return is_hit

    def write(self, run: Run, given: Arguments) -> Any:
        page = int(given["walker"].space), int(given["vpn"])
        self.dirty_by_page.pop(page, None)
        if len(self.dirty_by_page) == ENTRIES:
            self.dirty_by_page.popitem(last=False)
        self.dirty_by_page[page] = int(given["entry"]) & (at.DIRTY | at.WRITABLE) == at.DIRTY | at.WRITABLE
        return run()

    def drop(self, run: Run, given: Arguments) -> Any:
        self.dirty_by_page.pop((int(given["space"]), int(given["vpn"])), None)
        return run()

    def flush(self, run: Run, given: Arguments) -> Any:
        for space, vpn in list(self.dirty_by_page):
            if given["first_space"] <= space < given["end_space"]:
                del self.dirty_by_page[space, vpn]
        return run()


def with_second(scenario: Scenario, entries: int | None, is_tagged: bool = True) -> Scenario:
    (on,) = scenario.hosts
    second = tiny.cache(entries) if entries else None
    return evolve(scenario, hosts=(evolve(on, mmu=evolve(on.mmu, pcid=is_tagged, software_tlb=second)),))


@given(guests("software_tlb"), st.booleans())
@examples(8)
def test_the_vmm_finds_in_its_tlb_what_a_dictionary_holds(scenario: Scenario, is_tagged: bool) -> None:
    """Whatever the guest invalidates, page by page or by address space; misses are hits there, or refills."""
    ((host, machine),) = machines_of(with_second(scenario, ENTRIES, is_tagged))
    naive = NaiveTlb()
    Twin(naive.watchers()).module("vmcfg.engine.loop").run(machine, host.run_end)
    check_machine(host, machine)
    total = machine.counters.sum(axis=0)
    misses, refills = (int(total[EXIT_COUNT + reason]) for reason in (Exit.TLB_MISS, Exit.TLB_REFILL))
    assert (naive.hits, misses - naive.hits) == (total[Event.SOFTWARE_TLB_HITS], refills)
    assert misses == total[Event.WALKS]


@given(guests("software_tlb", write_ppm=1_000_000), st.sampled_from((None, 1, 5, 8)))
@examples(40)
def test_the_guest_does_what_it_does_on_bare_metal(scenario: Scenario, entries: int | None) -> None:
    """Where all accesses are stores, no entry lacks D: TLBs hit and miss as they do where hardware walks, too."""
    software = with_second(scenario, entries)
    (on,) = software.hosts
    native = evolve(software, hosts=(evolve(on, mmu=evolve(on.mmu, mode="native", software_tlb=None)),))
    rows = []
    for each in (software, native):
        ((host, machine),) = machines_of(each)
        run_to_the_end(host, machine)
        rows.append({event.name: int(machine.counters[:, event].sum()) for event in SAME})
    assert rows[0] == rows[1]


def small(entries: int | None, pages: int = 4, **phase: Any) -> Scenario:
    """Two passes over some pages that are there from the start, through a TLB of one entry."""
    on = tiny.host("software_tlb", vpid=False)
    runs = tiny.workload(tiny.phase(accesses=2 * pages, **phase), pages=pages)
    return with_second(tiny.scenario(tiny.vm_at_start(), on=on, runs=runs), entries)


@pytest.mark.parametrize(("entries", "cycles"), [(None, 8 * (1000 + 1170 + 40)), (4, 8 * 1008 + 4 * (1170 + 40))])
def test_a_miss_costs_two_exits_and_the_guests_handler_or_one_exit(entries: int | None, cycles: int) -> None:
    """An exit is 1000 cycles, the VMM's refill 170, the guest's handler 40, a look into the VMM's TLB 8."""
    ((host, machine),) = machines_of(small(entries))
    run_to_the_end(host, machine)
    total = machine.counters.sum(axis=0)
    assert cycles == total[Event.EXIT_CYCLES] + total[Event.GUEST_CYCLES]
    assert 0 == total[Event.WALK_REFS] + total[Event.FAULT_REFS] + total[Event.DIRTY_REFS] + total[Event.WALK_CYCLES]


def test_the_trace_shows_both_exits() -> None:
    """First the miss, then the guest's write of the entry."""
    access = Tracer(compile_plan(small(None))).access(1)
    assert access is not None
    assert ["tlb_miss", "tlb_refill"] == [exit_.reason for exit_ in access.all(steps.Exit)]
    assert [] == access.all(steps.Reference)
