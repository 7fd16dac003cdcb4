"""Results made by hand, whose sums hold, for tests of tables, goldens and formats that need no engine."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from vmcfg.api import Experiment, Outcome
from vmcfg.metrics.events import MODE_EXITS, Event
from vmcfg.metrics.result import Checkpoint, HostResult, PhaseResult, RunResult, VmResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.scenario.spec import Scenario

HZ = 1_000_000_000

ONE_PHASE = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: Made by hand}
run: {accesses: 1000}
hosts:
  h: {memory: 64MiB, mmu: {mode: nested}, cpu: {profile: nehalem, hz: 1000000000}}
vms:
  web: {memory: 4MiB, workload: scan}
workloads:
  scan: {phases: [{pattern: {kind: uniform, size: 1MiB}, accesses_per_touch: 2}]}
tables: [vms, translation, exits, memory, time, frames]
"""

CACHED = ONE_PHASE.replace("hz: 1000000000}", "hz: 1000000000, data_caches: profile}")
LOGGED = CACHED.replace("mode: nested}", "mode: nested, pml: true}").replace("nehalem", "cascade_lake")
ROUNDS = LOGGED.replace("pml: true", "pml: true, dirty_log: {every: 1s}")
LARGE = LOGGED.replace("pml: true}", "pml: true, page_size: 2MiB}")
FILED = ONE_PHASE.replace("memory: 4MiB,", "memory: 4MiB, files: {data: {size: 4MiB}},")
PRESSED = ONE_PHASE.replace(
    "memory: 4MiB,", "memory: 4MiB, swap: {size: 4MiB}, oom: kill, compresses: {half: 50%},"
).replace("memory: 64MiB,", "memory: 64MiB, swap: {size: 4MiB}, reclaim: {paging: {victim: fifo}, compression: {}},")
ASKING = ONE_PHASE.replace("mode: nested", "mode: paravirt")
SAMPLED = ONE_PHASE.replace("accesses: 1000}", "accesses: 1000, sample: 1s, curve: 100%}")
TWO_PHASES = ONE_PHASE.replace("{phases: [{", "{phases: [{pattern: {kind: uniform, size: 1MiB}, accesses: 10}, {")


def counters(**changes: int) -> dict[str, int]:
    """1000 accesses by 500 touches: 900 hit the L1 TLB, 60 the L2 TLB (7 cycles), 40 walk (3 references at 14)."""
    made = dict.fromkeys((event.name.lower() for event in Event), 0)
    made |= {
        "touches": 500, "accesses": 1000, "l1_hits": 900, "stlb_hits": 60, "walks": 40,
        "guest_refs": 40, "host_refs": 80, "walk_refs": 120, "walk_cycles": 1680,
        "base_cycles": 4000, "tlb_cycles": 420, "walk_charged_cycles": 1680, "exit_cycles": 300,
        "guest_table_pages": 4,
    }  # fmt: skip
    return made | changes


def cached_counters(**changes: int) -> dict[str, int]:
    """The same with data caches of Nehalem: 100 references at 4 cycles, 10 at 10, 6 at 40, 4 at 200."""
    cycles = 400 + 100 + 240 + 800
    found = {"l1_refs": 100, "l2_refs": 10, "llc_refs": 6, "memory_refs": 4}
    return counters(walk_cycles=cycles, walk_charged_cycles=cycles) | found | changes


def phase(number: int = 1, elapsed: int = 6400, **changes: int) -> PhaseResult:
    exits: Mapping[str, tuple[int, int]] = {reason.name.lower(): (0, 0) for reason in MODE_EXITS["nested"]}
    return PhaseResult(number, counters(**changes), {**exits, "ept_violation_data": (3, 300)}, elapsed)


def idle_phase(number: int) -> PhaseResult:
    zeros = dict.fromkeys(counters(), 0)
    return PhaseResult(number, zeros, {reason.name.lower(): (0, 0) for reason in MODE_EXITS["nested"]}, 0)


def vm(*phases: PhaseResult, name: str = "web") -> VmResult:
    pages = {"configured": 1024, "private": 20, "unbacked": 1004, "ballooned": 0, "swapped": 0, "balloon": 0}
    pages["guest_swapped"] = 0
    pages["guest_cached"] = 0
    pages |= {"guest_free": 1000, "guest_tables": 4, "guest_kernel": 0}
    return VmResult(name, "h", "nested", HZ, phases or (idle_phase(0), phase()), pages)


def cached_vm(**changes: int) -> VmResult:
    """A VM on a host with data caches."""
    idle = evolve(idle_phase(0), counters=dict.fromkeys(cached_counters(), 0))
    return vm(idle, evolve(phase(), counters=cached_counters(**changes)))


def checkpoint(cycles: int, **changes: int) -> Checkpoint:
    return Checkpoint(cycles, {"translation": cycles + 1, "guest": cycles + 2, "counters": cycles + 3} | changes)


def host(*checkpoints: Checkpoint) -> HostResult:
    frames = {"total": 16384, "free": 16360, "private": 20, "shared": 0, "overhead": 4, "reserved": 0}
    return HostResult("h", HZ, frames, checkpoints or (checkpoint(100), checkpoint(200)))


def result(*vms: VmResult, on: HostResult | None = None) -> RunResult:
    return RunResult((on or host(),), vms or (vm(),), 0.0)


def scenario(text: str = ONE_PHASE) -> Scenario:
    return loads(text, "made.yaml")


def outcome(made: RunResult | None = None, text: str = ONE_PHASE, digest: str = "ab" * 32) -> Outcome:
    """An Outcome as a run would leave it; its scenario's digest is that of nothing, so that texts can be frozen."""
    plan = compile_plan(Experiment(evolve(scenario(text), name="made")).scenario)
    return Outcome(evolve(plan, digest=digest), made or result())
