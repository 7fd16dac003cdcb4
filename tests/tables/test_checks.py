"""The sums that every run is held to: a result that breaks one is refused, by name."""

from __future__ import annotations

import pytest
from attrs import evolve
from made_results import CACHED, cached_vm, host, idle_phase, outcome, phase, result, vm

from vmcfg.api import rates
from vmcfg.errors import RunFailed
from vmcfg.metrics import checks
from vmcfg.metrics.result import RunResult

RATES = rates(outcome().plan)


def test_sums_hold_for_a_right_result() -> None:
    """The result made by hand is consistent; the checks let it through."""
    checks.check(result(), RATES)


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ("l1_hits", "l1_hits + stlb_hits + walks = accesses: 1001 is not 1000"),
        ("guest_refs", "guest_refs + host_refs = walk_refs: 121 is not 120"),
        ("touches", "touches × accesses per touch + kernel_accesses = accesses: 1002 is not 1000"),
        ("fault_refs", "references and walk-cache hits × their costs = walk_cycles: 1694 is not 1680"),
        ("nested_tlb_hits", "references and walk-cache hits × their costs = walk_cycles: 1681 is not 1680"),
        ("base_cycles", "accesses × cost = base_cycles: 4000 is not 4001"),
        ("tlb_cycles", "stlb_hits × cost = tlb_cycles: 420 is not 421"),
        ("exit_cycles", "cycles of exits by reason = exit_cycles: 300 is not 301"),
        ("vcpu_switches", "exits vcpu_switch = vcpu_switches: 0 is not 1"),
        ("walk_charged_cycles", "charged walk cycles × walkers + carried remainders = walk_cycles: 1681 is not 1680"),
        ("guest_table_pages", "guest_table_pages made - table_pages_freed = guest pages that hold tables: 5 is not 4"),
        ("pages_logged", "pml_full × 512 + log_entries_read + what is left in the logs = pages_logged: 0 is not 1"),
    ],
)
def test_one_event_too_many_breaks_its_sum(changed: str, claim: str) -> None:
    """A counter that is off by one contradicts another, and the message says which and where."""
    right = phase()
    wrong = evolve(right, counters={**right.counters, changed: right.counters[changed] + 1})
    assert f": {claim}" in _message(result(vm(idle_phase(0), wrong)))


def test_references_are_found_somewhere_and_cost_what_that_costs() -> None:
    """With data caches each reference has its place, and the place its latency."""
    cached = rates(outcome(text=CACHED).plan)
    checks.check(result(cached_vm()), cached)
    with pytest.raises(RunFailed) as raised:
        checks.check(result(cached_vm(llc_refs=7)), cached)
    assert "l1_refs + l2_refs + llc_refs + memory_refs = walk_refs + fault_refs + dirty_refs: 121 is not 120" in str(
        raised.value
    )
    assert "references and walk-cache hits × their costs = walk_cycles: 1580 is not 1540" in str(raised.value)


def test_pages_and_frames_add_up() -> None:
    """Pages of a VM, frames of a host, and both against each other."""
    short = evolve(vm(), pages={**vm().pages, "private": 19})
    frames = evolve(host(), frames={**host().frames, "free": 16361})
    claim = "VM web: private + ballooned + swapped + unbacked = configured pages: 1023 is not 1024"
    assert claim in _message(result(short))
    assert "host h: private pages of its VMs = private frames: 19 is not 20" in _message(result(short))
    claim = "host h: free + private + shared + overhead + reserved = total frames: 16385 is not 16384"
    assert claim in _message(result(on=frames))


def test_walk_cycles_may_carry_a_remainder() -> None:
    """With two walkers one odd cycle of a vCPU may wait to be charged, not two."""
    two_walkers = {"web": evolve(RATES["web"], walkers=2)}
    checks.check(result(vm(idle_phase(0), phase(walk_charged_cycles=840))), two_walkers)
    with pytest.raises(RunFailed, match="carried remainders"):
        checks.check(result(vm(idle_phase(0), phase(walk_charged_cycles=839))), two_walkers)


def test_a_broken_sum_is_a_failed_run() -> None:
    """It ends with exit code 4 and says that vmcfg is at fault."""
    broken = result(vm(idle_phase(0), phase(l1_hits=0)))
    with pytest.raises(RunFailed) as raised:
        checks.check(broken, RATES)
    assert (4, "broken_sum") == (raised.value.exit_code, raised.value.code)
    assert "this is a fault of vmcfg" in str(raised.value)


def _message(broken: RunResult) -> str:
    with pytest.raises(RunFailed) as raised:
        checks.check(broken, RATES)
    return str(raised.value)
