"""The oracle's faults, exits, frames and flushes against counts made by hand. Costs are those of `oracle.tiny`."""

from __future__ import annotations

import pytest
from oracle import run
from oracle.core import LOAD
from oracle.replay import FAR, A, B, counts, growth, loads, replay
from oracle.tiny import cache, host, phase, processor, scenario, timing, vm, workload


def test_the_first_touch_ever_takes_four_tables_and_five_violations() -> None:
    """Every page of the first touch is new to the host: the root, three tables, and the data page."""
    result = replay((A, LOAD), in_vm=vm())
    # The root: 1000 exit + 200 + 50 × (its frame + 3 EPT tables); each later page only its frame, 1250.
    assert {"ept_violation_data": (1, 1250), "ept_violation_table": (4, 1400 + 3 * 1250), "vcpu_switch": (0, 0)} == (
        result.exits["a"][1]
    )
    # 4 host references for the root and its absent entry; then the whole walk.
    assert [1, 5, 24, 290] == counts(result, "walks", "fault_refs", "walk_refs", "walk_cycles")
    # 500 + 4 pages × 50 + 4 entries × 5; the root is nobody's fault.
    assert [1, 4, 4, 720] == counts(result, "guest_faults", "guest_table_pages", "gpt_writes", "guest_fault_cycles")
    assert 5150 + 1250 + 720 + 290 + 1 == result.elapsed["a"][1]
    # MPN 0 is the EPT's root, 1–3 its tables; then root, three tables, data.
    assert {0: 4, 1: 5, 2: 6, 3: 7, 4: 8} == result.pmap["a"]
    assert [1, 2, 3] == [result.host_entries["a"][level, 0][0] for level in (4, 3, 2)]
    expected = {"total": 100_000, "free": 99_991, "private": 5, "shared": 0, "overhead": 4, "reserved": 0}
    assert expected == result.frames["h"]


def test_a_second_page_under_the_same_tables_takes_one_page() -> None:
    """Only the leaf is missing: the faulting walk reads 4 × 4 host and 4 guest entries."""
    first, both = replay((A, LOAD), in_vm=vm()), replay((A, LOAD), (B, LOAD), in_vm=vm())
    events = ("guest_faults", "guest_table_pages", "gpt_writes", "fault_refs", "guest_fault_cycles", "exit_cycles")
    assert [1, 0, 1, 20, 500 + 50 + 5, 1250] == growth(first, both, *events)


def test_without_zeroing_the_violation_waits_for_the_second_walk() -> None:
    """The tables are zeroed all the same; the data page's frame is missed by the 24th reference."""
    result = replay((A, LOAD), in_vm=vm(zero_on_fault=False))
    assert [5 + 24, 24, 500 + 3 * 50 + 4 * 5] == counts(result, "fault_refs", "walk_refs", "guest_fault_cycles")
    assert (1, 1250) == result.exits["a"][1]["ept_violation_data"]


def test_a_walk_after_a_violation_reads_the_guest_entries_again() -> None:
    """The walk that found no frame had filled the PDE cache; the violation drops its combined entries."""
    result = replay((A, LOAD), on=host(cpu=processor(guest_walk_caches={2: cache(4)})), in_vm=vm(zero_on_fault=False))
    assert [24, 0] == counts(result, "walk_refs", "guest_walk_cache_hits")


def test_a_page_outside_the_ept_leaf_table_brings_a_new_one() -> None:
    """With 511 kernel pages the root is PPN 511; PPN 512 is the first of the next group of 512."""
    result = replay((A, LOAD), in_vm=vm(kernel_pages=511))
    assert (4, 1250 + 1300 + 1250 + 1250) == result.exits["a"][1]["ept_violation_table"]
    assert 1 + 3 + 1 == result.frames["h"]["overhead"]


def test_a_native_fault_costs_no_exit() -> None:
    """All memory is backed; the guest's handler zeroes four pages and writes four entries."""
    result = replay((A, LOAD), on=host("native"), in_vm=vm())
    assert [1, 720, 0, 1, 4] == counts(
        result, "guest_faults", "guest_fault_cycles", "exit_cycles", "fault_refs", "walk_refs"
    )
    assert ({}, 1000, 0) == (result.exits["a"][1], result.frames["h"]["private"], result.frames["h"]["overhead"])


def test_populated_pages_are_mapped_in_ascending_order_with_tables_between() -> None:
    """Root 0, tables 1–3, page A 4; FAR needs a leaf table 5 before its page 6. Nothing is accessed or dirty yet."""
    result = replay((FAR, LOAD), (A, LOAD))
    entries = {where: target for where, (target, _, _) in result.guest_entries["a"].items()}
    expected = {(4, 0): 1, (3, 0): 2, (2, 2): 3, (1, A): 4, (2, 3): 5, (1, FAR): 6}
    assert expected == entries
    assert [5, 0, 0] == counts(result, "guest_table_pages", "gpt_writes", "guest_faults")


def test_populating_without_backing_takes_frames_in_the_order_of_pages() -> None:
    """No exit but the root's; an EPT root and three tables come first, as with a fault."""
    result = replay((A, LOAD), in_vm=vm(populate="at_start"))
    assert {0: 4, 1: 5, 2: 6, 3: 7, 4: 8} == result.pmap["a"]
    assert ((1, 1400), (0, 0)) == tuple(result.exits["a"][1][f"ept_violation_{kind}"] for kind in ("table", "data"))


def test_vms_take_their_frames_one_after_the_other() -> None:
    """EPT root, then the kernel page with three EPT tables, then the guest's root: six frames per VM."""
    setting = scenario(vm("a", kernel_pages=1), vm("b", kernel_pages=1, start_ns=50), run=timing(duration_ns=1))
    result = run(setting)
    assert {0: 4, 1: 5} == {ppn: result.pmap["a"][ppn] for ppn in (0, 1)}
    assert {0: 10, 1: 11} == result.pmap["b"]


def test_a_guest_fault_drops_the_walk_cache_entries_of_its_path() -> None:
    """B's first walk hits the PDE and reads an absent leaf: 1 reference. After the fault it starts at the root."""
    caches = {2: cache(4), 3: cache(4), 4: cache(4)}
    native = host("native", cpu=processor(guest_walk_caches=caches))
    result = replay(*loads(A, B), on=native, in_vm=vm())
    assert [1 + 1, 4 + 4, 1] == counts(result, "fault_refs", "walk_refs", "guest_walk_cache_hits")


def test_a_violation_drops_the_host_entries_of_its_address() -> None:
    """B's faulting walk uses the host PDE four times; zeroing drops it, so that the next walk reads 4 + 4 × 1 again."""
    cached = host(cpu=processor(host_walk_caches={2: cache(4)}))
    first, both = (replay(*loads(*pages), on=cached, in_vm=vm()) for pages in ((A,), (A, B)))
    events = ("fault_refs", "guest_refs", "host_refs", "host_walk_cache_hits")
    assert [4 + 4, 4, 8, 4 + 4] == growth(first, both, *events)


@pytest.mark.parametrize(("vpid", "walks"), [(True, 2), (False, 3)])
def test_an_exit_flushes_linear_mappings_only_without_vpid(vpid: bool, walks: int) -> None:
    """Backing B leaves the guest: A's translation survives with tags only."""
    result = replay(*loads(A, B, A), on=host(vpid=vpid, cpu=processor(l1_tlb=cache(4))), in_vm=vm())
    assert [walks] == counts(result, "walks")


@pytest.mark.parametrize(("vpid", "found"), [(True, [1, 1]), (False, [0, 0])])
def test_an_exit_without_vpid_flushes_the_second_level_and_combined_entries(vpid: bool, found: list[int]) -> None:
    """FAR's violations stand between two loads of A; only tags keep its translation and its PDE."""
    second_level = host(vpid=vpid, cpu=processor(l2_tlb=cache(4)))
    assert found[:1] == counts(replay(*loads(A, FAR, A), on=second_level, in_vm=vm()), "stlb_hits")
    pde = host(vpid=vpid, cpu=processor(guest_walk_caches={2: cache(4)}))
    assert found[1:] == counts(replay(*loads(A, FAR, A), on=pde, in_vm=vm()), "guest_walk_cache_hits")


def test_a_guest_fault_without_an_exit_flushes_nothing() -> None:
    """Everything is backed at start, so A stays although nothing is tagged."""
    flushing = host(vpid=False, cpu=processor(l1_tlb=cache(4)))
    assert [2, 1] == counts(replay(*loads(A, B, A), on=flushing, in_vm=vm(backing="at_start")), "walks", "l1_hits")


def test_every_frame_and_every_page_has_one_state() -> None:
    """Frames and pages add up, and no frame is used twice."""
    runs = workload(phase("uniform", accesses=400), pages=300)
    result = run(scenario(vm("a", kernel_pages=7), vm("b", memory_pages=700, backing="at_start"), runs=runs))
    frames = dict(result.frames["h"])
    assert frames.pop("total") == sum(frames.values())
    in_use = [mpn for name in ("a", "b") for mpn in result.pmap[name].values()]
    in_use += [mpn for name in ("a", "b") for (level, _), (mpn, _, _) in result.host_entries[name].items() if level > 1]
    assert frames["private"] + frames["overhead"] == len(set(in_use)) + 2 == len(in_use) + 2  # and two EPT roots
    for pages in result.pages.values():
        assert pages["configured"] == pages["private"] + pages["unbacked"]
