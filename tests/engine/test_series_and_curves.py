"""What is sampled changes nothing and adds up; what is touched again is what was touched."""

from __future__ import annotations

import pytest
from attrs import evolve

from vmcfg.engine import series, simulate
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.scenario.spec import Scenario

SCAN = "sequential, size: 256KiB"
TEXT = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: series}
seed: 3
run: {duration: 60ms, warmup: 300, epoch: 10ms}
hosts:
  esx:
    memory: 2MiB
    mmu: {mode: nested}
    reclaim: {paging: {victim: two_list}}
    swap: {size: 64MiB}
    disks: {disk: {latency: 100us, bandwidth: 500MiB/s}}
vms:
  web: {memory: 8MiB, workload: work}
  db: {memory: 8MiB, workload: phases}
workloads:
  work: {phases: [{pattern: {kind: zipf, size: 1MiB, alpha: 0.8}, rate: 20k/s, write: 30%}]}
  phases:
    phases:
      - {pattern: {kind: uniform, size: 1MiB}, rate: 20k/s, duration: 20ms}
      - {pattern: {kind: sequential, size: 512KiB}, rate: 20k/s}
"""


def run(*sets: str) -> tuple[Scenario, RunResult]:
    """Simulate the scenario with some settings changed."""
    scenario = loads(TEXT, sets=sets)
    return scenario, simulate(compile_plan(scenario), jobs=1)


def test_samples_change_nothing() -> None:
    """A run that is looked at every millisecond leaves the same behind, to the last digest."""
    _, plain = run()
    _, sampled = run("run.sample=1ms", "run.curve=100%")
    assert plain.hosts == sampled.hosts
    assert plain.vms == tuple(evolve(vm, samples=(), curve=None) for vm in sampled.vms)


def test_the_last_sample_is_the_end_of_the_run() -> None:
    """Its counters are those of all phases, its pages those of the table memory; between samples lies the interval."""
    _, result = run("run.sample=7ms")
    for vm in result.vms:
        last = vm.samples[-1]
        assert vm.pages == last.pages
        assert last.counters["touches"] == sum(phase.counters["touches"] for phase in vm.phases)
        assert 60_000_000 * vm.hz // 10**9 == last.cycles
        slices = [round(sample.cycles * 10_000 / vm.hz) for sample in vm.samples]
        assert [70, 140, 210, 280, 350, 420, 490, 560, 600] == slices


def test_a_long_series_keeps_every_second_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for four, of ten samples every second one is left, the last of them at the end."""
    monkeypatch.setattr(series, "MOST", 4)
    scenario, result = run("run.sample=6ms")
    assert scenario.run.sample_ns == 6_000_000
    found = [round(sample.cycles * 1000 / result.vms[0].hz) for sample in result.vms[0].samples]
    assert [12, 24, 36, 48, 60] == found


def test_the_curve_is_that_of_the_pages_that_were_touched() -> None:
    """Generated again after the run, phase by phase: as many as were counted, the same as the vCPU's own stream."""
    scenario, result = run("run.curve=100%")
    for vm in result.vms:
        touches = sum(phase.counters["touches"] for phase in vm.phases)
        assert vm.curve is not None
        assert touches == vm.curve.touches
        pages, misses = vm.curve.points[-1]
        assert pages == misses  # with room for all, each page is missed once
        assert scenario.workloads[0].regions[0].pages >= pages or vm.name == "db"


def test_a_curve_of_a_scan_is_known() -> None:
    """Three rounds over 64 pages: every touch misses in less, 64 do in enough; a sample of some pages says the same."""
    text = TEXT.replace("duration: 60ms, warmup: 300", "accesses: 192").replace("zipf, size: 1MiB, alpha: 0.8", SCAN)
    for share in ("100%", "50%"):
        scenario = loads(text.replace("duration: 20ms", "accesses: 100"), sets=[f"run.curve={share}"])
        curve = simulate(compile_plan(scenario), jobs=1).vms[0].curve
        assert curve is not None
        assert 192 == curve.touches
        misses = dict(curve.points)
        assert misses[32] == pytest.approx(192, abs=0 if share == "100%" else 60)
        assert misses[max(misses)] == pytest.approx(64, abs=0 if share == "100%" else 20)
