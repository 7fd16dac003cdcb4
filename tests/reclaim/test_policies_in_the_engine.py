"""Misses of the engine without a TLB, one page at a time in a memory of given size: those that others have counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_published_counts import MISSES, SIZES

from vmcfg.engine.build import build
from vmcfg.engine.loop import Runner
from vmcfg.engine.paging import allow
from vmcfg.engine.room import ALL_FINISHED, NEED_FRAMES
from vmcfg.metrics.events import EXIT_COUNT, Event, Exit
from vmcfg.plan import compile_plan
from vmcfg.reclaim.replay import replay
from vmcfg.scenario import loads
from vmcfg.scenario.spec import Scenario
from vmcfg.workload.inputs import load_inputs

TEXT = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: replacement}}
run: {{accesses: {accesses}}}
hosts:
  host:
    memory: 64MiB
    mmu: {{mode: nested, tlb: {tlb}}}
    reclaim: {{paging: {{victim: {victim}, batch: 1, capacity: {capacity}, references: {references}}}}}
    swap: {{size: 64MiB}}
    disks: {{disk: {{latency: 0s, bandwidth: 100GiB/s, seek: 0s}}}}
vms:
  vm: {{memory: 32MiB, workload: work}}
workloads:
  work: {{phases: [{phase}]}}
"""
REAL = Path(__file__).parents[2] / "scenarios" / "data"


def misses(scenario: Scenario) -> int:
    """Run it; return how often a page without a frame was accessed, the first time or again."""
    host = compile_plan(scenario).hosts[0]
    machine = build(host, scenario.seed, load_inputs(host.traces))
    runner = Runner(machine)
    while (why := runner.run(host.run_end)) == NEED_FRAMES and allow(machine):
        pass
    assert why == ALL_FINISHED
    counters = machine.counters.sum(axis=0)
    return int(counters[Event.HOST_PAGE_INS] + counters[EXIT_COUNT + Exit.EPT_VIOLATION_DATA])


def of_policy(victim: str, pages: int, phase: str, base: Path, accesses: object = "all", tlb: str = "none") -> Scenario:
    """Return a scenario of one VM and one policy that is told of every access, if it listens."""
    text = TEXT.format(
        victim=victim, capacity=f"{4 * pages}KiB", phase=phase, accesses=accesses, tlb=tlb, references="every_access"
    )
    if victim in ("fifo", "random"):
        text = text.replace(", references: every_access", "")
    return loads(text, directory=base)


@pytest.mark.parametrize("victim", MISSES)
def test_the_engine_misses_as_often_as_published(victim: str, tmp_path: Path) -> None:
    """On the three strings, in several sizes of memory: two policies that were mixed up would differ in one of them."""
    found = []
    for number, (pages, size) in enumerate(SIZES):
        np.array(pages, "<u8").tofile(tmp_path / f"{number}.u64")
        phase = f"{{trace: {{format: u64, file: {number}.u64}}}}"
        found.append(misses(of_policy(victim, size, phase, tmp_path)))
    assert MISSES[victim] == found


@pytest.mark.parametrize(("victim", "count"), [("lru", 871), ("fifo", 1402), ("clock_referenced", 949), ("opt", 591)])
def test_the_engine_misses_as_often_on_a_real_program(victim: str, count: int) -> None:
    """Seven million accesses of a sort, in 64 pages."""
    assert count == misses(of_policy(victim, 64, "{trace: {file: sort.u32.zst, format: records}}", REAL))


@pytest.mark.parametrize("tlb", ["none", "processor"])
@pytest.mark.parametrize("victim", ["lru", "lfu", "lru2_history", "opt", "sieve"])
def test_the_engine_misses_as_a_replay_of_the_same_pages(victim: str, tlb: str, tmp_path: Path) -> None:
    """Three sizes, with a TLB too: its hits are references like any other."""
    pages = np.random.default_rng(5).zipf(1.3, 20_000) % 300
    pages.astype("<u8").tofile(tmp_path / "pages.u64")
    sizes = [20, 60, 150]
    phase = "{trace: {file: pages.u64, format: u64}}"
    scenarios = [of_policy(victim, size, phase, tmp_path, tlb=tlb) for size in sizes]
    assert [replay(pages.astype(np.int32), size, victim) for size in sizes] == [misses(each) for each in scenarios]


def test_foresight_holds_through_phases_and_a_warm_up(tmp_path: Path) -> None:
    """What is generated beforehand is what is touched: no policy misses less than opt, whatever the work."""
    phase = "{pattern: {kind: zipf, size: 1MiB, alpha: 0.8}, accesses: 5000}, {pattern: {kind: uniform, size: 512KiB}}"
    scenarios = [of_policy(victim, 40, phase, tmp_path, 12_000) for victim in ("opt", "lru", "lfu", "fifo")]
    opt, *others = [misses(each) for each in scenarios]
    assert opt < min(others)
