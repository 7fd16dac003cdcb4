"""The oracle's TLBs, walks and dirty bits against counts made by hand. Costs are those of `oracle.tiny`."""

from __future__ import annotations

import pytest
from oracle import run
from oracle.core import FETCH, LOAD, STORE
from oracle.replay import FAR, FARTHER, A, B, C, counts, loads, replay
from oracle.result import EVENTS, EXITS
from oracle.tiny import COSTS, cache, host, phase, processor, scenario, vm_at_start, workload

from vmcfg.metrics.events import MODE_EXITS, Event


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


def test_a_dirty_walk_leaves_the_recency_of_walk_caches_alone() -> None:
    """Of two PDE entries A's is older: the store to A uses it, FARTHER evicts it, and B has to walk in full."""
    pde = host(cpu=processor(l1_tlb=cache(8), guest_walk_caches={2: cache(2)}))
    result = replay((A, LOAD), (FAR, LOAD), (A, STORE), (FARTHER, LOAD), (B, LOAD), on=pde)
    assert [5, 4 * 24, 1] == counts(result, "dirty_refs", "walk_refs", "guest_walk_cache_hits")


def test_a_hit_refreshes_a_walk_cache() -> None:
    """The walk of B uses A's PDE entry, so that FARTHER evicts FAR's, and C still finds A's."""
    pde = host(cpu=processor(guest_walk_caches={2: cache(2)}))
    assert [2] == counts(replay(*loads(A, FAR, B, FARTHER, C), on=pde), "guest_walk_cache_hits")


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
