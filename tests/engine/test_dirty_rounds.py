"""Rounds in which the VMM asks what has been modified, against a set that a few lines of Python keep."""

from __future__ import annotations

import pytest
from running import machines_of

from vmcfg.engine import loop, simulate
from vmcfg.engine.dirty_rounds import Rounds
from vmcfg.engine.invariants import check_machine
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.scenario.spec import Scenario
from vmcfg.vmm import machine as at

KINDS = {"pml": "cascade_lake", "write_protection": "haswell"}
LEVELS = 4  # guest tables of a process on the way to its pages, which lie in one leaf table


def scenario(by: str, more: str = "", events: str = "", at_start: bool = True, write: str = "50%") -> Scenario:
    """A guest that writes at random to 1,000 pages, and is asked four times."""
    start = "populate: at_start, backing: at_start, " if at_start else ""
    return loads(f"""
        apiVersion: vmcfg/v1
        kind: Scenario
        metadata: {{title: Modified}}
        run: {{duration: 90ms}}
        hosts:
          h: {{memory: 64MiB, cores: 1, cpu: {KINDS[by]}, mmu: {{mode: nested, dirty_log: {{every: 20ms, by: {by}}}}}}}
        vms: {{a: {{memory: 8MiB, {start}{more}workload: w}}}}
        workloads:
          w:
            regions: {{r: {{size: 4000KiB, base: 0x40000000}}}}
            phases: [{{pattern: {{kind: uniform, region: r}}, write: {write}, rate: 50000/s, events: [{events}]}}]
    """)


@pytest.mark.parametrize("by", KINDS)
def test_a_round_counts_the_pages_that_were_stored_to_and_the_tables_that_were_read(by: str) -> None:
    """What is written, by the accesses themselves; tables by walks that read them, at least once after each flush."""
    [(host, machine)] = machines_of(scenario(by))
    rounds, found = Rounds(1), []
    for number in range(1, 5):
        first = int(machine.vcpu[0, at.RETIRED])
        stored = {page for page, kind in touches(machine, first, number * host.hz // 50) if kind == at.STORE}
        rounds.end(machine, 0)
        check_machine(host, machine)
        found.append(rounds.of(0)[-1].pages)
        tables = {2: 3, 3: 4, 4: 4}
        assert len(stored) <= found[-1] <= len(stored) + LEVELS + tables.get(number, 4)
        assert not (machine.host.pmap & at.HOST_DIRTY).any()
        assert at.LOG_ENTRIES - 1 == machine.vcpu[0, at.LOG_INDEX]
    assert min(found) > 300


def touches(machine: at.Machine, first: int, end: int) -> list[tuple[int, int]]:
    """Run up to a time, touch by touch; return the pages and kinds of what was accessed."""
    made = []
    while machine.sched[at.NOW] < end:
        before = int(machine.vcpu[0, at.RETIRED])
        loop.run(machine, end, 0, before + 1)
        if machine.vcpu[0, at.RETIRED] > before:
            access = int(machine.work.buffer[0, int(machine.vcpu[0, at.NEXT]) - 1])
            made.append((access >> at.VPN_SHIFT, (access >> at.KIND_SHIFT) & 3))
    return made


def test_both_ways_find_the_same_pages() -> None:
    """Whoever knows: what guests modify is the same; by protection each page is an exit, by the log hardly any."""
    log, protection = (simulate(compile_plan(scenario(by))).vms[0] for by in KINDS)
    assert [each.pages for each in log.rounds] == [each.pages for each in protection.rounds]
    assert 4 == len(log.rounds)
    logged = log.phases[1].counters["pages_logged"]
    assert protection.phases[1].exits["write_protected"][0] == logged > 4 * 300
    assert log.phases[1].exits["pml_full"][0] <= 4
    assert (4, 4) == (log.phases[1].exits["dirty_log"][0], protection.phases[1].exits["dirty_log"][0])
    assert log.phases[1].counters["invepts"] == 4  # one core, once per round


EVENTS = (
    "{kind: munmap, every: 50, pages: 9}, {kind: mmap, every: 70, pages: 20}, {kind: fork, every: 300}, "
    "{kind: exit, every: 410}"
)


@pytest.mark.parametrize("by", KINDS)
def test_what_the_guests_kernel_writes_is_modified_too(by: str) -> None:
    """Pages that it zeroes and copies, tables that it writes: no more is found than was known, and sums hold."""
    asked = scenario(by, "swap: {size: 8MiB}, ", EVENTS, at_start=False)
    vm = simulate(compile_plan(asked), check_invariants=True).vms[0]
    counters = vm.phases[1].counters
    known = counters["pages_logged"] + counters["pages_marked"]
    assert sum(each.pages for each in vm.rounds) == counters["pages_collected"]
    assert 0 < known - counters["pages_collected"] < 1200  # those of the last half round
    assert counters["cow_faults"] > 20


@pytest.mark.parametrize("by", KINDS)
def test_pages_that_are_zeroed_for_a_reader_are_modified(by: str) -> None:
    """Of 1,000 pages some 630 are touched by the first 1,000 loads; each was zeroed, and nobody stores to it later."""
    first, *_, last = simulate(compile_plan(scenario(by, at_start=False, write="0%"))).vms[0].rounds
    assert first.pages > 600
    assert last.pages < 100
