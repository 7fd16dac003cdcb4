"""The oracle's guest operations against counts made by hand. Costs are those of `oracle.tiny`."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from oracle import OracleResult, run
from oracle.core import LOAD, STORE
from oracle.replay import A, B, counts, loads
from oracle.tiny import COSTS, cache, host, processor, scenario, trace_phase, vm_at_start, workload

from vmcfg.scenario.spec import GuestEvent, LargeTlbs, Region

LOADED_A_AND_B = loads(A, B)


def event(kind: str, after: int, **changes: Any) -> GuestEvent:
    """Happens after so many touches, and again after as many more."""
    return GuestEvent(kind, after, 1, **changes)


def guest(
    *events: GuestEvent, accesses: list[tuple[int, int]], processes: int = 1, slots: int = 0, pcid: bool = False,
    vcpus: int = 1, **of_vm: Any,
) -> OracleResult:  # fmt: skip
    """A native VM that has mapped two pages and runs a trace, with a TLB of eight entries."""
    on = host("native", cpu=processor(l1_tlb=cache(8)))
    plain = workload(trace_phase(events=events), pages=0)
    regions = (Region("r", A, 2),)
    runs = evolve(plain, regions=regions, processes=processes, max_processes=max(processes, slots))
    vm = vm_at_start(vcpus=vcpus, **of_vm)
    return run(scenario(vm, on=evolve(on, mmu=evolve(on.mmu, pcid=pcid)), runs=runs), traces={"t": accesses})


@pytest.mark.parametrize(("pcid", "walks"), [(False, 4), (True, 2)])
def test_a_load_of_cr3_flushes_unless_spaces_are_tagged(pcid: bool, walks: int) -> None:
    """A of one process, A of the other, A of the first, A of the second: with PCIDs the last two hit."""
    result = guest(event("context_switch", 1), accesses=loads(A, A, A, A), processes=2, pcid=pcid)
    assert [walks, 4, 4] == counts(result, "walks", "context_switches", "cr3_loads")
    cycles = 4 * COSTS["context_switch"], 4 * COSTS["cr3_load"]
    assert [*cycles] == counts(result, "guest_cycles", "flush_cycles")


def test_a_space_without_a_place_takes_that_of_the_one_whose_turn_it_is() -> None:
    """Three processes on two PCIDs in turn: each load takes the place of the space that is needed next."""
    result = guest(event("context_switch", 1), accesses=loads(*[A] * 9), processes=3, pcid=True, pcids=2)
    assert [9] == counts(result, "walks")


def test_kpti_loads_cr3_twice_in_each_system_call() -> None:
    """Without PCIDs nothing survives a call; with them everything does."""
    for pcid, walks in ((False, 3), (True, 1)):
        result = guest(event("syscall", 1), accesses=loads(A, A, A), kpti=True, pcid=pcid)
        assert [walks, 3, 6] == counts(result, "walks", "system_calls", "cr3_loads")


@pytest.mark.parametrize(("kpti", "walks"), [(False, 1), (True, 2)])
def test_the_kernels_pages_are_global_without_kpti(kpti: bool, walks: int) -> None:
    """Two processes read the kernel's only page: one entry serves both, or each view has its own."""
    events = event("syscall", 1, kernel_pages=1), event("context_switch", 1)
    result = guest(*events, accesses=loads(A, A, A, A), processes=2, pcid=True, kpti=kpti, kernel_pages=1)
    assert [2 + walks, 4, 8, 4] == counts(result, "walks", "kernel_accesses", "accesses", "touches")


def test_a_page_that_was_unmapped_faults_again() -> None:
    """Both pages go by INVLPG, the second touch of A maps it to the page that was freed last: B's."""
    result = guest(event("munmap", 2, region=0, pages=2), accesses=[*LOADED_A_AND_B, (A, LOAD)])
    assert [2, 1, 2 + 1] == counts(result, "invlpgs", "guest_faults", "gpt_writes")
    assert (5, True, False, True) == result.spaces["a"][0, 0][1, A]
    assert (1, B) not in result.spaces["a"][0, 0]


def test_more_than_33_pages_go_by_one_reload_of_cr3() -> None:
    """Linux's ceiling."""
    for pages, expected in ((33, [33, 0]), (34, [0, 1])):
        plain = workload(trace_phase(events=(event("munmap", 1, region=0, pages=pages),)), pages=0)
        runs = evolve(plain, regions=(Region("r", A, pages),))
        result = run(scenario(vm_at_start(), on=host("native"), runs=runs), traces={"t": loads(A)})
        assert expected == counts(result, "invlpgs", "cr3_loads")


def test_a_store_to_a_page_made_read_only_faults_and_gets_w_back() -> None:
    """A, A; then A walks anew, and the store hits that: its dirty walk faults, and it begins again with a walk."""
    events = event("mprotect", 2, region=0, pages=2, to="read")
    result = guest(events, accesses=[(A, LOAD), (A, LOAD), (A, LOAD), (A, STORE)])
    assert [1, 3, 4, 12] == counts(result, "l1_hits", "walks", "fault_refs", "walk_refs")
    assert [1, 1, 0, 0] == counts(result, "guest_faults", "write_faults", "cow_faults", "dirty_walks")


def test_narrowing_interrupts_the_vcpus_that_run_the_process() -> None:
    """Of three vCPUs and two processes, vCPU 2 shares vCPU 0's: it flushes the two pages as well."""
    result = guest(event("munmap", 2, region=0, pages=2), accesses=loads(A, B), processes=2, vcpus=3)
    assert [1, 4, 4 * COSTS["invlpg"] + COSTS["ipi"]] == counts(result, "shootdowns", "invlpgs", "flush_cycles")


def test_a_fork_shares_pages_until_somebody_stores() -> None:
    """Parent loads, forks, stores to A: the copy is its own; B is still shared."""
    result = guest(event("fork", 2), accesses=[(A, LOAD), (B, LOAD), (A, STORE)], slots=2)
    assert [1, 1, 0] == counts(result, "forks", "cow_faults", "write_faults")
    parent, child = result.spaces["a"][0, 0], result.spaces["a"][1, 0]
    assert child[1, A] == (4, False, False, False)
    assert parent[1, A] == (10, True, True, True)
    assert parent[1, B][0] == child[1, B][0] == 5
    assert {5: 1} == result.sharers["a"]
    # two leaves lose W, three tables and two leaves of the child, one leaf after the copy
    assert [8, 4 + 4] == counts(result, "gpt_writes", "guest_table_pages")


def test_a_child_that_ends_gives_everything_back() -> None:
    """After fork and exit no page is shared, the tables are the parent's alone, and the free pages as before."""
    result = guest(event("fork", 1), event("exit", 1), accesses=loads(A), slots=2)
    assert [1, 1, 0] == counts(result, "forks", "process_exits", "context_switches")
    assert {} == result.sharers["a"]
    assert [(0, 0)] == list(result.spaces["a"])
    assert [4, 1000 - 4 - 2] == [result.pages["a"][name] for name in ("guest_tables", "guest_free")]


def test_without_a_slot_the_oldest_child_gives_way() -> None:
    """The second fork ends the first one's child."""
    result = guest(event("fork", 1), accesses=loads(A, A), slots=2)
    assert [2, 1, 2] == counts(result, "forks", "process_exits", "system_calls")


def test_exec_begins_with_an_empty_space() -> None:
    """Both pages and the old tables are freed, and A faults again."""
    result = guest(event("exec", 2), accesses=[*LOADED_A_AND_B, (A, LOAD)])
    assert [1, 1] == counts(result, "guest_faults", "system_calls")
    assert [4, 1000 - 4 - 1] == [result.pages["a"][name] for name in ("guest_tables", "guest_free")]


def test_nothing_ends_where_there_is_no_child() -> None:
    """Not even a system call is made."""
    result = guest(event("exit", 1), accesses=loads(A), slots=2)
    assert [0, 0, 0] == counts(result, "system_calls", "process_exits", "cr3_loads")


def large_guest(*events: GuestEvent, accesses: list[tuple[int, int]], pages: int, slots: int = 1) -> OracleResult:
    """A native VM of 2000 pages that has mapped `pages` pages from A on by pages of 2 MiB, and runs a trace."""
    on = host("native", cpu=processor(l1_tlb=cache(8), large_tlbs=LargeTlbs("shared", None, None, None)))
    runs = evolve(workload(trace_phase(events=events), pages=0), regions=(Region("r", A, pages),), max_processes=slots)
    vm = vm_at_start(memory_pages=2000, page_size=2 << 20)
    return run(scenario(vm, on=on, runs=runs), traces={"t": accesses})


def test_a_large_page_that_loses_a_part_is_split() -> None:
    """A goes: 512 + 1 writes, and 1 for the page, as for B; INVLPG of the large page and of each. B walks 4 levels."""
    result = large_guest(event("munmap", 1, region=0, pages=1), accesses=loads(A, B), pages=512)
    assert [1, 513 + 1 + 1, 1 + 1 + 1] == counts(result, "guest_splits", "gpt_writes", "invlpgs")
    assert [2, 3 + 4] == counts(result, "walks", "walk_refs")


def test_a_large_page_that_goes_whole_is_one_entry_and_a_block_again() -> None:
    """1 write, 1 INVLPG; the fault that follows takes the same block."""
    result = large_guest(event("munmap", 1, region=0, pages=512), accesses=loads(A, A), pages=512)
    assert [0, 2, 2, 1] == counts(result, "guest_splits", "large_unmapped", "invlpgs", "mapped_2m")
    assert {"guest_free": 2000 - 3, "guest_large": 0}.items() <= result.pages["a"].items()


def test_a_store_to_a_shared_large_page_copies_one_page() -> None:
    """The parent's entry falls into 512, of which one leads elsewhere; the child's stays, and 511 are still shared."""
    result = large_guest(event("fork", 2), accesses=[(A, LOAD), (A, LOAD), (A + 5, STORE)], pages=512, slots=2)
    assert [1, 1, 0] == counts(result, "guest_splits", "cow_faults", "write_faults")
    assert 511 == sum(sharers == 1 for sharers in result.sharers["a"].values())
