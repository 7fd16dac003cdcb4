"""Short traces through the oracle, and what they counted: the vocabulary of its own tests."""

from __future__ import annotations

from vmcfg.scenario.spec import Host, Vm

from .core import LOAD
from .result import OracleResult
from .run import run
from .tiny import BASE_VPN, scenario, trace_phase, vm_at_start, workload

A, B, C = BASE_VPN, BASE_VPN + 1, BASE_VPN + 2
FAR, FARTHER = BASE_VPN + 512, BASE_VPN + 1024  # under other PDEs than A, B and C


def replay(*accesses: tuple[int, int], on: Host | None = None, in_vm: Vm | None = None) -> OracleResult:
    """The accesses (vpn, kind) as a trace; in a VM with everything at start unless `in_vm` is given."""
    setting = scenario(in_vm or vm_at_start(), on=on, runs=workload(trace_phase(), pages=0))
    return run(setting, traces={"t": accesses})


def counts(result: OracleResult, *events: str, name: str = "a", row: int = 1) -> list[int]:
    return [result.counters[name][row][event] for event in events]


def loads(*vpns: int) -> list[tuple[int, int]]:
    return [(vpn, LOAD) for vpn in vpns]


def growth(before: OracleResult, after: OracleResult, *events: str) -> list[int]:
    """By how much the second run counts more."""
    return [b - a for a, b in zip(counts(before, *events), counts(after, *events), strict=True)]
