"""Regions that processes share without a file: who finds whose page, who frees it, and where it goes under pressure."""

from __future__ import annotations

from random import Random

import pytest

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.metrics.result import VmResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Shared memory}}
seed: {seed}
run: {{accesses: {accesses}, epoch: 1ms, slice: 100us}}
hosts:
  h:
    memory: {host}
    cpu: haswell
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s}}}}
    {paging}
vms:
  a: {{memory: {memory}, kernel_memory: 0B, workload: w, {own}}}
workloads:
  w:
    processes: {processes}
    {most}
    regions: {{{regions}}}
    phases: [{{pattern: {{kind: {pattern}, region: buffer}}, write: {write}, events: [{events}]}}]
"""
MODES = ("{mode: native}", "{mode: nested}", "{mode: shadow}", "{mode: shadow, shadow: {variant: unsync}}")
PRIVATE, SHARED = "buffer: {size: 20KiB}", "buffer: {size: 20KiB, shared: true}"
PAGES = 4096  # of the guest, if not said otherwise: 16 MiB
TABLES = 4  # of a process


def run(
    regions: str, accesses: int, *events: str, mmu: str = MODES[1], own: str = "", memory: str = "16MiB",
    processes: int = 1, most: int = 0, pattern: str = "sequential", write: str = "100%", host: str = "64MiB",
    paging: str = "", seed: int = 1,
) -> VmResult:  # fmt: skip
    """Run the one VM, with all invariants checked at each epoch's end."""
    text = FRAME.format(
        regions=regions, accesses=accesses, events=", ".join(events), mmu=mmu, own=own, memory=memory, write=write,
        processes=processes, most=f"max_processes: {most}" if most else "", pattern=pattern, host=host, seed=seed,
        paging=paging,
    )  # fmt: skip
    return simulate(compile_plan(loads(text)), check_invariants=True).vms[0]


def count(vm: VmResult, *names: str) -> list[int]:
    """Return counters of the only phase."""
    return [vm.phases[1].counters[name] for name in names]


@pytest.mark.parametrize("mmu", MODES)
@pytest.mark.parametrize(("regions", "copies", "used"), [(PRIVATE, 5, 5 + 5), (SHARED, 0, 5)])
def test_a_fork_copies_private_pages_on_write_and_shared_ones_never(
    mmu: str, regions: str, copies: int, used: int
) -> None:
    """Five stores, a fork, five more by the parent: five copies in five new pages, or none; two processes' tables."""
    vm = run(regions, 10, "{kind: fork, every: 5}", mmu=mmu, most=3)
    assert [copies, 0, 2] == count(vm, "cow_faults", "write_faults", "forks")
    assert PAGES - used - 3 * TABLES == vm.pages["guest_free"]


def test_what_a_child_touches_first_outlives_it_and_is_the_next_ones_page() -> None:
    """The parent stores to page 0; each of three children is loaded for one store, to 1, 0, 1, and ends for the next.

    The first child's page 1 is new, the third finds it; page 0 is mapped by all, by their forks: 3 faults, 2 pages.
    """
    vm = run(SHARED.replace("20", "8"), 4, "{kind: fork, every: 1}", "{kind: context_switch, every: 1}")
    assert [3, 4, 3, 0] == count(vm, "guest_faults", "forks", "process_exits", "cow_faults")
    assert PAGES - 2 - 2 * TABLES == vm.pages["guest_free"]


@pytest.mark.parametrize(("processes", "left"), [(1, 0), (2, 5)])
def test_munmap_frees_what_nobody_else_can_come_to_want(processes: int, left: int) -> None:
    """The only process of a guest gives all five pages back; one of two leaves them to the other."""
    vm = run(SHARED, 5, "{kind: munmap, every: 5, region: buffer, pages: 5}", processes=processes)
    assert PAGES - left - TABLES - (processes - 1) == vm.pages["guest_free"]


@pytest.mark.parametrize(("processes", "left"), [(1, 0), (2, 5)])
def test_an_exec_of_the_last_process_frees_shared_memory(processes: int, left: int) -> None:
    """Nothing is left of the only process but its new root; of two, the other has the pages still."""
    vm = run(SHARED, 5, "{kind: exec, every: 5}", processes=processes)
    assert PAGES - left - processes == vm.pages["guest_free"]


def test_processes_that_nobody_forked_have_the_same_pages() -> None:
    """Ten stores by two processes in turn, each to all five pages: ten faults, five pages."""
    vm = run(SHARED, 10, "{kind: context_switch, every: 5}", processes=2)
    assert [10, 0] == count(vm, "guest_faults", "cow_faults")
    assert PAGES - 5 - 2 * TABLES == vm.pages["guest_free"]


def test_populated_pages_are_there_once_for_all_processes() -> None:
    """Three processes with five pages, mapped before the run by each: no fault, and 5 + 3 × 4 pages in use."""
    vm = run(SHARED, 5, own="populate: at_start", processes=3)
    assert [0] == count(vm, "guest_faults")
    assert PAGES - 5 - 3 * TABLES == vm.pages["guest_free"]


LARGER = "buffer: {size: 600KiB, shared: true}"  # 150 pages, of a guest that has 128


def test_without_a_swap_area_shared_memory_cannot_be_reclaimed() -> None:
    """Of 128 pages 4 are tables: the 125th store finds none, where a swap area takes some of those before it."""
    whole = "buffer: {size: 500KiB, shared: true}"
    with pytest.raises(RunFailed, match="no free page left"):
        run(whole, 125, memory="512KiB")
    assert count(run(whole, 125, memory="512KiB", own="swap: {size: 1MiB}"), "guest_page_outs")[0] > 0


@pytest.mark.parametrize(("processes", "faults"), [(1, 750), (2, 1500)])
def test_a_shared_page_comes_back_from_the_swap_area_once_for_all(processes: int, faults: int) -> None:
    """A scan of 150 pages touches each twice, five times over: first in, first out, it is never there the next time.

    So 600 times a page is read back. If the second touch is another process's, it finds the page there, and maps it.
    """
    own = "swap: {size: 1MiB}, reclaim: {victim: fifo, keep_free: 32KiB}"
    switch = ["{kind: context_switch, every: 1}"] * (processes > 1)
    scan = "stride, stride: 2KiB"
    vm = run(LARGER, 1500, *switch, memory="512KiB", own=own, processes=processes, pattern=scan, write="0%")
    assert [faults, 600, 600] == count(vm, "guest_faults", "guest_page_ins", "major_faults")
    assert vm.pages["guest_swapped"] == count(vm, "guest_page_outs")[0] - 600


EVENTS = (
    "{kind: exit, every: 97}", "{kind: exec, every: 151}", "{kind: context_switch, every: 9}",
    "{kind: munmap, every: 31, region: buffer, pages: 19}", "{kind: mmap, every: 43, region: buffer, pages: 9}",
    "{kind: munmap, every: 57, region: heap, pages: 9}", "{kind: write_file, every: 41, file: log, pages: 5}",
    "{kind: mprotect, every: 37, region: buffer, pages: 30, to: read}",
    "{kind: mprotect, every: 61, region: buffer, pages: 30, to: read_write}",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_each_page_is_in_one_place_whatever_happens(seed: int) -> None:
    """After any sequence of faults, forks, ends, unmappings, reboots and reclaim, in guest and host."""
    dice = Random(seed)
    mmu, has_swap = MODES[seed % 4], seed % 3 > 0
    is_paging = "native" not in mmu and dice.random() < 0.6
    events = ["{kind: fork, every: 71}", *dice.sample(EVENTS, 6), *["{kind: reboot, every: 700}"] * (seed % 4 > 0)]
    own = ["files: {log: {size: 64KiB}}", "oom: kill", *[f"swap: {{size: {dice.choice((2, 1))}MiB}}"] * has_swap]
    run(
        f"heap: {{size: 64KiB}}, buffer: {{size: {700 if has_swap else 300}KiB, shared: true}}", 2000, *events,
        mmu=mmu, own=", ".join(own), memory="600KiB", processes=2, most=4, write="50%", pattern="uniform", seed=seed,
        host="500KiB" if is_paging else "4MiB",
        paging="swap: {size: 4MiB}\n    reclaim: {paging: {victim: clock, batch: 8}}" if is_paging else "",
    )  # fmt: skip
