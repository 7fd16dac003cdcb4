"""A dirty walk uses the walk caches and leaves no trace in them: what is evicted next does not depend on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from oracle import tiny
from workload.trace_makers import Access, records

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan

LOAD, STORE = 1, 2
TABLE = 512  # pages under one entry of the page directory
A, B, C = 2 * TABLE, 3 * TABLE, 4 * TABLE  # the first pages of three tables
TOUCHED = [(page + nth, LOAD) for page in (A, B, C) for nth in (0, 1)]


def replay(folder: Path, accesses: Sequence[Access]) -> Mapping[str, int]:
    """Run accesses, all pages touched before, through a TLB of two entries and a cache of two directory entries."""
    (folder / "t").write_bytes(records([*TOUCHED, *accesses]))
    cpu = tiny.processor(l1_tlb=tiny.cache(2), guest_walk_caches={2: tiny.cache(2)})
    runs = tiny.workload(tiny.trace_phase(str(folder / "t")), pages=0)
    scenario = tiny.scenario(tiny.vm(backing="at_start"), on=tiny.host("native", cpu=cpu), runs=runs)
    return simulate(compile_plan(scenario)).vms[0].phases[1].counters


@pytest.mark.parametrize(("page", "references"), [(A + 1, 4), (B + 1, 1)])
def test_a_dirty_walk_is_no_use_of_the_walk_caches(tmp_path: Path, page: int, references: int) -> None:
    """The store to A hits the TLB and walks for D alone. B's directory entry was used last all the same, and so C's
    takes the place of A's: then a walk below A reads four entries, and one below B the last."""
    before = [(A, LOAD), (B, LOAD), (A, STORE), (C, LOAD)]
    earlier, later = replay(tmp_path, before), replay(tmp_path, [*before, (page, LOAD)])
    assert (1, 1) == (earlier["dirty_walks"], earlier["dirty_refs"])
    assert references == later["guest_refs"] - earlier["guest_refs"]
