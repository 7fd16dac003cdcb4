"""Large pages under shadow paging where random machines seldom come: protected and released whole, over and over."""

from __future__ import annotations

import pytest
from attrs import evolve
from oracle import tiny
from test_many_tables_and_processes import compared

from vmcfg.scenario.spec import SHARED, GuestEvent, LargeTlbs, Mmu, Region, Scenario, ShadowPaging

LARGE = 2 << 20


def released_whole(variant: str, host_page: int) -> Scenario:
    """Two pages of 2 MiB that lose W and get it back without a flush; walk caches know the way to their pieces."""
    events = tuple(
        GuestEvent("mprotect", every, 1, region=0, pages=512, to=to) for every, to in ((17, "read"), (23, "read_write"))
    )
    phase = tiny.phase("uniform", accesses=600, write_ppm=100_000, events=events)
    runs = evolve(tiny.workload(phase), regions=(Region("r", 1024, 1024),))
    homes = LargeTlbs(l1_2m=SHARED, l1_1g=None, l2_2m=None, l2_1g=None)
    cpu = tiny.processor(l1_tlb=tiny.cache(4), guest_walk_caches={2: tiny.cache(4), 3: tiny.cache(2)}, large_tlbs=homes)
    shadow = ShadowPaging(variant, False, False, 0, 3)
    on = tiny.host(cpu=cpu, mmu=Mmu("shadow", host_page, True, shadow=shadow, table_page_size=host_page))
    return tiny.scenario(tiny.vm(memory_pages=4096, page_size=LARGE), on=on, runs=runs)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["virtual_tlb", "cached", "unsync"])
def test_what_belongs_to_a_large_entry_goes_with_it(variant: str) -> None:
    """Its pieces, and the ways to them; on host pages as large there are none, and fewer hidden faults."""
    pieces, whole = (compared(released_whole(variant, page)) for page in (4 << 10, LARGE))
    assert (0, pieces["a 1 walks"]) == (pieces["a 1 filled_2m"], pieces["a 1 filled_splintered"])
    assert (0, whole["a 1 walks"]) == (whole["a 1 filled_splintered"], whole["a 1 filled_2m"])
    assert pieces["a 1 exits hidden_fault"] > 2 * whole["a 1 exits hidden_fault"]
