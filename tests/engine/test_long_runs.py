"""What small random machines do not reach: more touches than one batch holds, and more memory than one table spans."""

from __future__ import annotations

from typing import Any

import pytest
from machines import Case
from oracle import tiny
from test_engine_equals_oracle import differences, figures_of_engine, figures_of_oracle, of_oracle

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import CacheShape, Scenario
from vmcfg.vmm.machine import BATCH

TOUCHES = 2 * BATCH + 1
PATTERNS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "sequential": {},
    "zipf": {"alpha": "0.8", "order": "scattered"},
    "hot_cold": {"hot_pages": 100, "hot_share_ppm": 950_000, "order": "scattered"},
}
CPU = tiny.processor(
    features=("ept", "ept_ad", "vpid"),
    l1_tlb=CacheShape(64, 4),
    l2_tlb=CacheShape(1536, 12),
    guest_walk_caches={2: CacheShape(32, 4), 3: CacheShape(4, 4)},
    host_walk_caches={2: CacheShape(32, 4)},
    nested_tlb=CacheShape(16, 16),
    walkers=2,
)


def same_figures(scenario: Scenario) -> dict[str, int]:
    """The engine's figures are the oracle's; return them."""
    case = Case(scenario, {})
    expected = figures_of_oracle(case, of_oracle(case))
    found = figures_of_engine(simulate(compile_plan(scenario), check_invariants=True))
    assert {} == differences(expected, found)
    return found


@pytest.mark.parametrize("kind", PATTERNS)
@pytest.mark.parametrize("rate", [None, 3_000_000])
def test_a_phase_of_several_batches_goes_on_where_a_batch_ends(kind: str, rate: int | None) -> None:
    """A warm-up as long as a batch, then two batches and one touch, on two vCPUs that share a core."""
    phase = tiny.phase(kind, rate, accesses=TOUCHES, write_ppm=200_000, **PATTERNS[kind])
    run = tiny.timing(slice_ns=50_000, warmup_touches=BATCH)
    vm = tiny.vm(memory_pages=4000, vcpus=2)
    on = tiny.host(cpu=CPU, quantum_ns=300_000)
    figures = same_figures(tiny.scenario(vm, on=on, runs=tiny.workload(phase, pages=2500), run=run))
    assert [2 * BATCH, 2 * TOUCHES] == [figures["a 0 touches"], figures["a 1 touches"]]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["native", "nested"])
def test_guest_memory_goes_on_beyond_a_gibibyte(mode: str) -> None:
    """Kernel pages up to 4 below 1 GiB: data and tables lie on both sides, under two level-2 tables of the EPT."""
    kernel = 512 * 512 - 4
    backing = "at_start" if mode == "native" else "on_touch"
    vms = [tiny.vm(name, memory_pages=kernel + 900, kernel_pages=kernel, backing=backing) for name in "ab"]
    runs = tiny.workload(tiny.phase("uniform", accesses=1500), pages=800)
    on = tiny.host(mode, cpu=CPU, memory_pages=600_000)
    figures = same_figures(tiny.scenario(*vms, on=on, runs=runs))
    if mode == "nested":
        # per VM: the root, one table of level 3, two of level 2, and a leaf table per 512 of 262,140 + 800 + 5 pages
        assert 2 * (1 + 1 + 2 + 514) == figures["h frames overhead"]
