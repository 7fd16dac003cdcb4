"""What a guest reports as free loses its frames, whole blocks only, and comes back on the next touch."""

from __future__ import annotations

import numpy as np
import pytest
from running import machines_of

from vmcfg.engine import simulate
from vmcfg.guest.reporting import BLOCK_PAGES, blocks_to_report
from vmcfg.metrics.result import VmResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.vmm import machine as at

SHADOW = ("virtual_tlb", "cached", "unsync")
MODES = ("{mode: nested}", *(f"{{mode: shadow, shadow: {{variant: {each}}}}}" for each in SHADOW))
FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Free pages}}
seed: 1
run: {{duration: {duration}, epoch: 2ms}}
hosts:
  h:
    memory: {host}
    cpu: haswell
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s, seek: 0s}}}}
    {paging}
vms:
  a: {{memory: 32MiB, kernel_memory: 64KiB, workload: w, {more}}}
workloads:
  w:
    regions: {{big: {{size: 10MiB}}, small: {{size: 1MiB}}}}
    phases:
      - {{pattern: {{kind: sequential, region: small}}, accesses: 256}}
      - pattern: {{kind: uniform, region: big}}
        accesses: 8000
        events: [{{kind: munmap, every: 8000, pages: 2560}}]
      - {{pattern: {{kind: uniform, region: small}}, rate: 100k/s}}
"""
REPORTS = "free_page_reporting: {every: 5ms, blocks: 2}"


def text(more: str, mmu: str = MODES[0], host: str = "64MiB", paging: str = "", duration: str = "60ms") -> str:
    return FRAME.format(mmu=mmu, more=more, host=host, paging=paging, duration=duration)


def run(*settings: str, **named: str) -> VmResult:
    """Run one guest with all invariants checked at each epoch's end."""
    return simulate(compile_plan(loads(text(*settings, **named))), check_invariants=True).vms[0]


def total(vm: VmResult, counter: str) -> int:
    return sum(phase.counters[counter] for phase in vm.phases)


@pytest.mark.parametrize("mmu", MODES)
def test_whole_free_blocks_lose_their_frames(mmu: str) -> None:
    """10 MiB are unmapped, behind what stays in use; the blocks among them that are free as a whole come back."""
    silent, reporting = run("", mmu), run(REPORTS, mmu)
    won = total(reporting, "report_frames_won")
    assert won == silent.pages["private"] - reporting.pages["private"]
    assert 0 == total(reporting, "reported_pages") % BLOCK_PAGES
    assert 3 * BLOCK_PAGES <= won <= total(reporting, "reported_pages") <= 5 * BLOCK_PAGES


def test_no_more_than_asked_for_at_a_time_and_not_too_often() -> None:
    """One block each 20 ms, in 60: two reports, for the run ends with the third."""
    vm = run("free_page_reporting: {every: 20ms, blocks: 1}")
    assert 2 * BLOCK_PAGES == total(vm, "reported_pages")
    assert 2 == sum(phase.exits["free_page_report"][0] for phase in vm.phases)


def test_nothing_is_reported_while_little_is_free() -> None:
    """A report of 32 blocks needs 64 MiB free, and a guest of 32 never has that."""
    assert 0 == total(run("free_page_reporting: {every: 5ms, blocks: 32}"), "reported_pages")


def test_slots_behind_free_pages_are_given_back_unread() -> None:
    """What the host had paged out of the freed 10 MiB need not be kept either."""
    paging = "swap: {size: 64MiB}\n    reclaim: {paging: {victim: fifo}}"
    vm = run(REPORTS, host="6MiB", paging=paging, duration="250ms")
    assert total(vm, "host_page_outs") > 1000
    assert total(vm, "host_slots_dropped") > 500


def test_blocks_are_those_that_a_list_of_free_pages_has_whole() -> None:
    """Against a set of the free list, page by page, on a machine whose free list was made by hand."""
    ((_, machine),) = machines_of(loads(text(REPORTS)))
    guest, dice = machine.guests.vm[0], np.random.default_rng(5)
    backed = np.arange(16, 6 * BLOCK_PAGES)
    machine.host.pmap[backed] = at.PRIVATE | (np.arange(len(backed)) + 5000 << at.MPN_SHIFT)
    free = dice.permutation(np.setdiff1d(backed, [BLOCK_PAGES, 4 * BLOCK_PAGES + 7]))
    machine.guests.free_list[: len(free)] = free
    guest[[at.GUEST_TOP, at.GUEST_FRESH]] = len(free), 6 * BLOCK_PAGES
    guest[at.GUEST_FREE] = len(free) + guest[at.CEILING] - guest[at.GUEST_FRESH]
    listed = set(free.tolist())
    whole = [first for first in range(0, 6 * BLOCK_PAGES, BLOCK_PAGES) if listed >= set(range(first, first + 512))]
    assert [2 * BLOCK_PAGES, 3 * BLOCK_PAGES, 5 * BLOCK_PAGES] == whole
    assert whole == blocks_to_report(machine, 0, 8).tolist()
    assert whole[:2] == blocks_to_report(machine, 0, 2).tolist()
    machine.host.pmap[np.array(whole)[:, None] + np.arange(BLOCK_PAGES)] = at.UNBACKED
    assert [] == blocks_to_report(machine, 0, 8).tolist()
