"""A guest's own replacement, told of every access: it pages in what lists and dictionaries page in.

Of a guest's memory, its kernel and its page tables are no candidates. When a page is missed and fewer than `keep_free`
pages are left, two batches of 32 go: one brings the guest to keep_free - 1 + 32 pages, one short of what it wants. It
keeps more free than these 64, so that it never has to wait for what is being written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from oracle import replacement as oracle

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.plan.show import render
from vmcfg.scenario import loads
from vmcfg.scenario.spec import Scenario
from vmcfg.workload.inputs import load_inputs

TEXT = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: told}}
run: {{accesses: all}}
hosts:
  host:
    memory: 64MiB
    mmu: {mmu}
    disks: {{disk: {{latency: 100us, bandwidth: 1GiB/s, seek: 0s}}}}
vms:
{vms}
workloads:
  work: {{phases: [{phase}]}}
"""
GUEST = """\
  {victim}:
    memory: {memory}KiB
    kernel_memory: 32KiB
    swap: {{size: 64MiB}}
    reclaim: {{victim: {victim}, keep_free: 400KiB}}
    workload: work"""
KERNEL, KEEP_FREE, BATCH = 8, 100, 32  # pages
MODES = ["{mode: native}", "{mode: nested}", "{mode: nested, tlb: none}", "{mode: shadow}"]
REAL = Path(__file__).parents[2] / "scenarios" / "data"


def scenario(memory: int, victims: Sequence[str], trace: Path, mmu: str, form: str) -> Scenario:
    """Guests of so many pages, one for each policy and named after it, that run a trace."""
    vms = "\n".join(GUEST.format(victim=victim, memory=4 * memory) for victim in victims)
    phase = f"{{trace: {{file: {trace.name}, format: {form}}}}}"
    return loads(TEXT.format(mmu=mmu, vms=vms, phase=phase), directory=trace.parent)


def page_ins(
    memory: int, victims: Sequence[str], trace: Path, mmu: str = MODES[1], form: str = "u64"
) -> dict[str, int]:
    """Run it; return how many pages each guest read back from its swap area."""
    plan = compile_plan(scenario(memory, victims, trace, mmu, form))
    result = simulate(plan, check_invariants=True, jobs=1)
    return {vm.name: sum(phase.counters["guest_page_ins"] for phase in vm.phases) for vm in result.vms}


def written(pages: Sequence[int] | np.ndarray, folder: Path) -> Path:
    """Write a trace; return where it is."""
    np.array(pages, "<u8").tofile(folder / "pages.u64")
    return folder / "pages.u64"


def of_lru(pages: Sequence[int], memory: int) -> int:
    """A dictionary of pages, the least recent first; and the page tables that have come to be needed."""
    order: dict[int, None] = {}
    gone: set[int] = set()
    leaf_tables: set[int] = set()
    found = 0
    for page in pages:
        if page not in order:
            frames = memory - KERNEL - (3 + len(leaf_tables) if leaf_tables else 1)
            if frames - len(order) < KEEP_FREE:
                while frames - len(order) < KEEP_FREE + BATCH:
                    for victim in list(order)[:BATCH]:
                        del order[victim]
                        gone.add(victim)
            leaf_tables.add(page >> 9)
            found += page in gone
            gone.discard(page)
        order.pop(page, None)
        order[page] = None
    return found


@pytest.mark.parametrize("mmu", MODES)
def test_what_was_touched_again_stays_though_it_came_first(mmu: str, tmp_path: Path) -> None:
    """224 pages less 8 of the kernel's and 4 tables are 212.

    The 114th page finds 212 - 113 = 99 left, which is below 100, and 64 go. Of pages 0 … 112, 0 … 9 were touched again:
    10 … 73 go. Then 0 … 9 are there, and 10 … 19 are read back; first come, first gone would have taken 0 … 63.
    """
    pages = [*range(113), *range(10), 113, *range(20)]
    assert 10 == of_lru(pages, 224)
    assert {"lru": 10, "fifo": 20} == page_ins(224, ["lru", "fifo"], written(pages, tmp_path), mmu)


@pytest.mark.parametrize("mmu", MODES)
def test_a_guest_pages_in_what_a_naive_policy_misses_again(mmu: str, tmp_path: Path) -> None:
    """In two sizes of memory, guests side by side. With a TLB too: its hits are references like any other."""
    pages = (np.random.default_rng(7).zipf(1.2, 6_000) % 400).tolist()
    for memory in (236, 356):
        capacity = memory - KERNEL - 4 - KEEP_FREE + 1
        wanted = {
            victim: oracle.misses(oracle.POLICIES[victim](), pages, capacity, 2 * BATCH) - len(set(pages))
            for victim in ("opt", "lru", "fifo", "lfu", "lru2")
        }
        assert wanted == page_ins(memory, [*wanted], written(pages, tmp_path), mmu)
        assert len(wanted) == len(set(wanted.values()))
        assert wanted["opt"] == min(wanted.values())


@pytest.mark.parametrize(("memory", "count"), [(200, 627), (300, 64)])
def test_a_real_program_under_a_guests_lru_pages_in_what_a_list_does(memory: int, count: int) -> None:
    """Seven million accesses of a sort, in a guest of less memory than it uses."""
    trace = REAL / "sort.u32.zst"
    inputs = load_inputs(compile_plan(scenario(memory, ["lru"], trace, MODES[1], "records")).hosts[0].traces)
    assert count == of_lru(inputs.vpns[inputs.records >> 2].tolist(), memory)
    assert {"lru": count} == page_ins(memory, ["lru"], trace, form="records")


def test_a_plan_marks_what_no_machine_can_know_as_a_bound() -> None:
    """And says what that is; a policy that looks at A bits is none."""
    text = render(compile_plan(scenario(300, ["lru", "opt", "clock"], REAL / "sort.u32.zst", MODES[1], "records")))
    assert "victims by lru (bound), told of every access, into" in text
    assert "victims by opt (bound), told of every access, and of the next one of its page, into" in text
    assert "victims by clock, into" in text
