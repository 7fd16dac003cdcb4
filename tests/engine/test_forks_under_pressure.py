"""A fork of many pages that its host has paged out ends as it has begun: what it takes was there, and is left to it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vmcfg.engine import simulate
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

TEXT = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Forks in a host that is short of memory}}
seed: 0
run: {{accesses: 4000, epoch: 2ms}}
hosts:
  h:
    memory: {host}
    cpu: {{profile: haswell, hz: 1000000000}}
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s, seek: 0s}}}}
    reclaim: {{paging: {{victim: random, read_ahead: {read_ahead}}}}}
    swap: {{size: 64MiB}}
vms:
  forks: {{memory: 8MiB, workload: forks}}
  other: {{memory: 4MiB, workload: other}}
workloads:
  forks:
    max_processes: 2
    phases:
      - trace: {{file: pages, format: u64, repeat: forever}}
        events: [{{kind: fork, every: 300}}, {{kind: exit, every: 300}}]
  other: {{phases: [{{pattern: {{kind: uniform, size: 3MiB}}, write: 50%}}]}}
"""
INSTALLING = "{mode: shadow, shadow: {variant: cached, installs_on_write: true}}"


def forks(folder: Path, tables: int, pages: int, **settings: object) -> dict[str, int]:
    """Fork a process with so many leaf tables and pages in each, 13 times; return its counters."""
    vpns = np.arange(tables)[:, None] * 512 + np.arange(pages)
    vpns.astype("<u8").tofile(folder / "pages")
    result = simulate(compile_plan(loads(TEXT.format(**settings), directory=folder)), check_invariants=True)
    return dict(result.vms[0].phases[1].counters)


@pytest.mark.parametrize("read_ahead", [8, 32])
@pytest.mark.parametrize("host", ["3500KiB", "4MiB"])
def test_nothing_is_read_along_into_frames_that_a_fork_will_take(host: str, read_ahead: int, tmp_path: Path) -> None:
    """Its 200 tables come to lie in pages that were freed and paged out; what lies around them is another guest's."""
    counted = forks(tmp_path, 200, 1, host=host, read_ahead=read_ahead, mmu="{mode: nested}")
    assert 13 == counted["forks"]
    assert counted["host_read_ahead"] > counted["host_page_ins"] > 100


@pytest.mark.parametrize("read_ahead", [1, 8])
def test_a_shadow_entry_that_is_filled_at_a_write_needs_no_page_from_the_disk(read_ahead: int, tmp_path: Path) -> None:
    """A fork takes W from 450 entries, many of which map pages that are paged out: those are filled when used."""
    counted = forks(tmp_path, 150, 3, host="4MiB", read_ahead=read_ahead, mmu=INSTALLING)
    assert 13 == counted["forks"]
    assert counted["host_page_ins"] > 1000
