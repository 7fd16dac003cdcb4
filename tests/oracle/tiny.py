"""Tiny scenarios for tests: one cycle is one nanosecond, every cost is a round figure, caches are off.

Off means as small as it can be: a first-level TLB of one entry, no second level, no walk caches, no nested TLB.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from vmcfg.scenario.spec import (
    CacheShape,
    Cpu,
    Host,
    Metadata,
    Mmu,
    Pattern,
    Phase,
    Rate,
    Region,
    Run,
    Scenario,
    Trace,
    Vm,
    Workload,
)

COSTS: Mapping[str, int] = {
    "access": 1,
    "l2_tlb_hit": 7,
    "walk_reference": 10,
    "walk_cache_hit": 2,
    "nested_tlb_hit": 3,
    "exit": 1000,
    "ept_violation": 200,
    "zero_page": 50,
    "guest_fault": 500,
    "gpt_write": 5,
    "invlpg": 200,
    "invept": 400,
    "syscall": 20,
    "context_switch": 30,
    "cr3_load": 15,
    "copy_page": 60,
    "ipi": 70,
    "true_fault": 110,
    "hidden_fault": 120,
    "trace_fault": 130,
    "shadow_cr3_load": 140,
    "shadow_invlpg": 150,
    "hypercall": 160,
    "validate_entry": 6,
    "tlb_refill": 170,
    "guest_refill": 40,
    "software_tlb_hit": 8,
    "pml_full": 180,
}
BASE_VPN = 0x400  # 0x400000 >> 12


def cache(entries: int, ways: int | None = None) -> CacheShape:
    """LRU, fully associative unless `ways` says otherwise."""
    return CacheShape(entries, ways or entries)


def processor(**changes: Any) -> Cpu:
    """A processor at 1 GHz with nothing but a first-level TLB of one entry."""
    plain = Cpu(
        profile="tiny", hz=1_000_000_000, features=(), l1_tlb=cache(1), l1_itlb=None, l2_tlb=None,
        guest_walk_caches={}, host_walk_caches={}, nested_tlb=None, walkers=1, costs=COSTS, assumed=(),
    )  # fmt: skip
    return evolve(plain, **changes)


def host(mode: str = "nested", vpid: bool = True, cpu: Cpu | None = None, **changes: Any) -> Host:
    plain = Host(
        name="h", memory_pages=100_000, cores=1, quantum_ns=10_000_000, cpu=cpu or processor(),
        mmu=Mmu(mode, 4096, vpid),
    )  # fmt: skip
    return evolve(plain, **changes)


def vm(name: str = "a", **changes: Any) -> Vm:
    """A VM of 1000 pages, everything on touch, running the workload `w`."""
    plain = Vm(
        name=name, declared=name, host="h", memory_pages=1000, kernel_pages=0, vcpus=1, start_ns=0,
        populate="on_touch", backing="on_touch", zero_on_fault=True, workload="w",
    )  # fmt: skip
    return evolve(plain, **changes)


def vm_at_start(name: str = "a", **changes: Any) -> Vm:
    """The same with everything populated and backed before t = 0."""
    return vm(name, populate="at_start", backing="at_start", **changes)


def timing(**changes: Any) -> Run:
    """Until every workload has ended, in slices of 100 µs."""
    is_bounded = "accesses" in changes or "duration_ns" in changes
    plain = Run(
        duration_ns=None, accesses=None, to_the_end=not is_bounded, epoch_ns=100_000_000, slice_ns=100_000,
        warmup_touches=None, warmup_ns=None,
    )  # fmt: skip
    return evolve(plain, **changes)


def phase(kind: str = "sequential", rate: int | None = None, **changes: Any) -> Phase:
    """A phase by pattern over the workload's first region; `rate` in touches per second."""
    pattern_fields = {a: changes.pop(a) for a in ("order", "alpha", "hot_pages", "hot_share_ppm") if a in changes}
    plain = Phase(
        pattern=Pattern(kind, changes.pop("region", 0), **pattern_fields), trace=None,
        rate=None if rate is None else Rate(rate, 1), write_ppm=0, accesses_per_touch=1,
        accesses=None, duration_ns=None,
    )  # fmt: skip
    return evolve(plain, **changes)


def trace_phase(file: str = "t", repeat: int | None = 1, **changes: Any) -> Phase:
    return phase(pattern=None, trace=Trace(file, Path(file), repeat=repeat), **changes)


def workload(*phases: Phase, pages: int = 4, name: str = "w") -> Workload:
    """Phases over one region of `pages` pages at the usual place; none for traces."""
    regions = (Region("r", BASE_VPN, pages),) if pages else ()
    return Workload(name, regions, phases)


def scenario(
    *vms: Vm, on: Host | None = None, runs: Workload | None = None, run: Run | None = None, seed: int = 0
) -> Scenario:
    """One host `h` (nested by default) with VMs (`a` by default) that all run one workload (4 pages in sequence)."""
    return Scenario(
        name="tiny", path=None, metadata=Metadata("tiny"), seed=seed, run=run or timing(), hosts=(on or host(),),
        vms=vms or (vm(),), workloads=(runs or workload(phase(accesses=4)),), tables=(), origins={},
    )  # fmt: skip
