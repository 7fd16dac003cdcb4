"""Hosts in processes of their own give what they give one after the other."""

from __future__ import annotations

import pytest
from attrs import evolve

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

TWO_HOSTS = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: two hosts}
run: {accesses: 20k, epoch: 1ms}
hosts:
  small: {memory: 64MiB, mmu: {mode: nested}}
  large: {memory: 128MiB, mmu: {mode: native}}
vms:
  a: {host: large, memory: 32MiB, workload: w}
  b: {host: small, memory: 32MiB, workload: w, count: 2}
workloads:
  w: {phases: [{pattern: {kind: zipf, size: 8MiB, alpha: 0.9}, write: 20%}]}
"""


def test_two_processes_give_the_same_result_as_one() -> None:
    """Every counter, frame, page and checkpoint, and the order of hosts and VMs."""
    plan = compile_plan(loads(TWO_HOSTS))
    alone, together = simulate(plan, jobs=1), simulate(plan, jobs=2)
    assert evolve(alone, seconds_simulating=0) == evolve(together, seconds_simulating=0)


def test_progress_of_all_hosts_adds_up_to_one() -> None:
    """The share that is done never falls, and ends at 1."""
    shares: list[float] = []
    simulate(compile_plan(loads(TWO_HOSTS)), jobs=2, progress=lambda share, host: shares.append(share))
    assert (sorted(shares), shares[-1]) == (shares, 1.0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_first_host_that_fails_is_the_one_that_is_told(jobs: int) -> None:
    """Whichever process ends first: both hosts run out of frames, and `small` is declared first."""
    text = TWO_HOSTS.replace("64MiB", "8MiB").replace("mode: native", "mode: nested").replace("128MiB", "8MiB")
    with pytest.raises(RunFailed, match="host small") as caught:
        simulate(compile_plan(loads(text)), jobs=jobs)
    assert caught.value.code == "out_of_frames"
