"""The oracle's translation, faults and exits against counts made by hand. Costs are those of `oracle.tiny`."""

from __future__ import annotations

import pytest
from oracle import OracleResult, run
from oracle.result import EVENTS, EXITS
from oracle.tiny import (
    BASE_VPN,
    COSTS,
    cache,
    host,
    phase,
    processor,
    scenario,
    timing,
    trace_phase,
    vm,
    vm_at_start,
    workload,
)

from vmcfg.metrics.events import MODE_EXITS, Event
from vmcfg.scenario.spec import Host, Vm

FETCH, LOAD, STORE = 0, 1, 2
A, B, C = BASE_VPN, BASE_VPN + 1, BASE_VPN + 2
FAR = BASE_VPN + 512  # under another PDE than A, B and C


def replay(*accesses: tuple[int, int], on: Host | None = None, in_vm: Vm | None = None) -> OracleResult:
    """The accesses (vpn, kind) as a trace; in a VM with everything at start unless `in_vm` is given."""
    setting = scenario(in_vm or vm_at_start(), on=on, runs=workload(trace_phase(), pages=0))
    return run(setting, traces={"t": accesses})


def counts(result: OracleResult, *events: str, name: str = "a", row: int = 1) -> list[int]:
    return [result.counters[name][row][event] for event in events]


def loads(*vpns: int) -> list[tuple[int, int]]:
    return [(vpn, LOAD) for vpn in vpns]


def test_the_oracle_counts_what_the_machine_counts() -> None:
    """The oracle's own names of events and exits are the machine's."""
    assert [event.name.lower() for event in Event] == list(EVENTS)
    assert {mode: tuple(e.name.lower() for e in exits) for mode, exits in MODE_EXITS.items()} == EXITS


@pytest.mark.parametrize(("mode", "host_levels", "refs"), [("nested", 4, 24), ("native", 0, 4)])
def test_a_cold_walk_makes_the_exact_number_of_references(mode: str, host_levels: int, refs: int) -> None:
    """refs = guest levels × (host levels + 1) + host levels of the data page."""
    result = replay((A, LOAD), on=host(mode))
    assert refs == 4 * (host_levels + 1) + host_levels
    assert [4, refs - 4, refs, 0] == counts(result, "guest_refs", "host_refs", "walk_refs", "fault_refs")


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
    expected = {"total": 100_000, "free": 99_991, "private": 5, "shared": 0, "overhead": 4, "reserved": 0}
    assert expected == result.frames["h"]


def test_a_second_page_under_the_same_tables_takes_one_page() -> None:
    """Only the leaf is missing: the faulting walk reads 4 × 4 host and 4 guest entries."""
    first, both = replay((A, LOAD), in_vm=vm()), replay((A, LOAD), (B, LOAD), in_vm=vm())
    events = ("guest_faults", "guest_table_pages", "gpt_writes", "fault_refs", "guest_fault_cycles", "exit_cycles")
    growth = [after - before for before, after in zip(counts(first, *events), counts(both, *events), strict=True)]
    assert [1, 0, 1, 20, 500 + 50 + 5, 1250] == growth


def test_without_zeroing_the_violation_waits_for_the_second_walk() -> None:
    """The tables are zeroed all the same; the data page's frame is missed by the 24th reference."""
    result = replay((A, LOAD), in_vm=vm(zero_on_fault=False))
    assert [5 + 24, 24, 500 + 3 * 50 + 4 * 5] == counts(result, "fault_refs", "walk_refs", "guest_fault_cycles")
    assert (1, 1250) == result.exits["a"][1]["ept_violation_data"]


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


def test_the_least_recently_used_entry_leaves() -> None:
    """A B A C evicts B and keeps A."""
    result = replay(*loads(A, B, A, C, A, B), on=host(cpu=processor(l1_tlb=cache(2))))
    assert [2, 4] == counts(result, "l1_hits", "walks")


def test_a_set_is_the_page_number_modulo_the_sets() -> None:
    """In two sets of one way A and C collide, A and B do not."""
    small = host(cpu=processor(l1_tlb=cache(2, ways=1)))
    assert [1] == counts(replay(*loads(A, B, A), on=small), "l1_hits")
    assert [0] == counts(replay(*loads(A, C, A), on=small), "l1_hits")


def test_a_hit_in_the_first_level_does_not_refresh_the_second() -> None:
    """After A B A the second level still holds A as its oldest: C evicts A there and B in the first level."""
    result = replay(*loads(A, B, A, C, B), on=host(cpu=processor(l1_tlb=cache(2), l2_tlb=cache(2))))
    assert [1, 1, 3, 7] == counts(result, "l1_hits", "stlb_hits", "walks", "tlb_cycles")


def test_a_hit_in_the_second_level_refreshes_it_and_fills_the_first() -> None:
    """A B A leaves B oldest, so C evicts B; the last A hits again, B walks."""
    result = replay(*loads(A, B, A, A, C, A, B), on=host(cpu=processor(l2_tlb=cache(2))))
    assert [1, 2, 4] == counts(result, "l1_hits", "stlb_hits", "walks")


def test_fetches_use_their_own_first_level_if_there_is_one() -> None:
    """A load after a fetch of the same page finds it in the shared second level only."""
    split = host(cpu=processor(l1_itlb=cache(1), l2_tlb=cache(4)))
    joined = host(cpu=processor(l2_tlb=cache(4)))
    accesses = ((A, FETCH), (A, LOAD), (A, FETCH))
    assert [1, 1] == counts(replay(*accesses, on=split), "l1_hits", "stlb_hits")
    assert [2, 0] == counts(replay(*accesses, on=joined), "l1_hits", "stlb_hits")


@pytest.mark.parametrize(("mode", "refs"), [("nested", 24), ("native", 4)])
def test_the_first_store_to_a_page_loaded_before_makes_a_dirty_walk(mode: str, refs: int) -> None:
    """The lookups stay hits; the second store finds D set."""
    result = replay((A, LOAD), (A, STORE), (A, STORE), on=host(mode, cpu=processor(features=("ept", "ept_ad"))))
    assert [2, 1, 1, refs, refs] == counts(result, "l1_hits", "walks", "dirty_walks", "dirty_refs", "walk_refs")
    assert (4, True, True) == result.guest_entries["a"][1, A]


def test_a_store_that_walks_needs_no_dirty_walk() -> None:
    """Its own walk fills D, in both levels: also after a load of B has taken A's place in the first."""
    result = replay((A, STORE), (B, LOAD), (A, STORE), on=host(cpu=processor(l2_tlb=cache(2))))
    assert [1, 0] == counts(result, "stlb_hits", "dirty_walks")


def test_a_dirty_walk_sets_d_in_both_levels() -> None:
    """The store of A hits the second level without D; after B has evicted A from the first, D is found there."""
    accesses = ((A, LOAD), (B, LOAD), (A, STORE), (B, LOAD), (A, STORE))
    result = replay(*accesses, on=host(cpu=processor(l2_tlb=cache(2))))
    assert [3, 1] == counts(result, "stlb_hits", "dirty_walks")


def test_a_dirty_walk_uses_the_walk_caches_and_fills_nothing() -> None:
    """The PDE cache holds one entry: FAR's evicts A's, the store to A walks in full, and FAR's is still there."""
    pde = host(cpu=processor(l1_tlb=cache(4), guest_walk_caches={2: cache(1)}))
    assert [5, 1] == counts(replay((A, LOAD), (A, STORE), on=pde), "dirty_refs", "guest_walk_cache_hits")
    result = replay((A, LOAD), (FAR, LOAD), (A, STORE), (FAR + 1, LOAD), on=pde)
    assert [24, 24 + 24 + 5, 1] == counts(result, "dirty_refs", "walk_refs", "guest_walk_cache_hits")


def test_host_bits_are_set_only_with_the_feature() -> None:
    """A load leaves the data page clean in the EPT, while the guest's tables count as written."""
    with_bits = replay((A, LOAD), on=host(cpu=processor(features=("ept_ad",)))).host_entries["a"]
    without = replay((A, STORE)).host_entries["a"]
    root, data = 0, 4
    assert ((True, True), (True, False)) == (with_bits[1, root][1:], with_bits[1, data][1:])
    assert (False, False) == without[1, data][1:]


def test_a_pde_hit_leaves_one_guest_entry_and_the_data_walk() -> None:
    """The entry is combined: the leaf table's address needs no translation."""
    result = replay(*loads(A, B), on=host(cpu=processor(guest_walk_caches={2: cache(4), 3: cache(4), 4: cache(4)})))
    assert [5, 20 + 4, 1, (24 + 5) * 10 + 2] == counts(
        result, "guest_refs", "host_refs", "guest_walk_cache_hits", "walk_cycles"
    )


def test_the_walk_cache_nearest_the_leaf_is_used() -> None:
    """FAR has no PDE entry yet, but A's walk has left the PDPTE: two guest entries, one table and one data walk."""
    caches = {2: cache(4), 3: cache(4), 4: cache(4)}
    result = replay(*loads(A, FAR), on=host(cpu=processor(guest_walk_caches=caches)))
    assert [4 + 2, 20 + 8, 1] == counts(result, "guest_refs", "host_refs", "guest_walk_cache_hits")


def test_a_host_walk_cache_leaves_the_host_reads_below_it() -> None:
    """All five pages lie under one host PDE: the root's walk reads 4 entries, the other four pages one each."""
    result = replay((A, LOAD), on=host(cpu=processor(host_walk_caches={2: cache(1)})))
    assert [4, 8, 4, 12 * 10 + 4 * 2] == counts(
        result, "guest_refs", "host_refs", "host_walk_cache_hits", "walk_cycles"
    )


def test_the_nested_tlb_replaces_the_walks_of_tables_but_not_of_data() -> None:
    """The second walk finds its four tables there; the data page, the same one, is walked again."""
    result = replay(*loads(A, B, A), on=host(cpu=processor(nested_tlb=cache(8))))
    assert [12, 20 + 4 + 4, 8, 40 * 10 + 8 * 3] == counts(
        result, "guest_refs", "host_refs", "nested_tlb_hits", "walk_cycles"
    )


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
    growth = [after - before for before, after in zip(counts(first, *events), counts(both, *events), strict=True)]
    assert [4 + 4, 4, 8, 4 + 4] == growth


@pytest.mark.parametrize(("vpid", "walks"), [(True, 2), (False, 3)])
def test_an_exit_flushes_linear_mappings_only_without_vpid(vpid: bool, walks: int) -> None:
    """Backing B leaves the guest: A's translation survives with tags only."""
    result = replay(*loads(A, B, A), on=host(vpid=vpid, cpu=processor(l1_tlb=cache(4))), in_vm=vm())
    assert [walks] == counts(result, "walks")


def test_a_guest_fault_without_an_exit_flushes_nothing() -> None:
    """Everything is backed at start, so A stays although nothing is tagged."""
    flushing = host(vpid=False, cpu=processor(l1_tlb=cache(4)))
    assert [2, 1] == counts(replay(*loads(A, B, A), on=flushing, in_vm=vm(backing="at_start")), "walks", "l1_hits")


def test_walkers_share_walk_cycles_and_carry_the_remainder() -> None:
    """Raw 4 × 3 = 12, then twice 3 + 2 = 5 with a PDE hit: charged 6, 2 carrying 1, and (5 + 1) / 2 = 3."""
    costs = {**COSTS, "walk_reference": 3}
    result = replay(
        *loads(A, B, C), on=host("native", cpu=processor(walkers=2, costs=costs, guest_walk_caches={2: cache(1)}))
    )
    assert [12 + 5 + 5, 6 + 2 + 3] == counts(result, "walk_cycles", "walk_charged_cycles")


def test_further_accesses_of_a_touch_hit_the_first_level() -> None:
    """4 touches of 3 accesses on one page: 12 accesses, one of them a walk."""
    setting = scenario(vm_at_start(), runs=workload(phase(accesses=4, accesses_per_touch=3), pages=1))
    result = run(setting)
    assert [4, 12, 11, 1, 12] == counts(result, "touches", "accesses", "l1_hits", "walks", "base_cycles")


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
