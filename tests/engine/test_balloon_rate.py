"""How fast a balloon grows through a guest that has to page for it: by the rate that its driver finds out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from running import machines_of, simulate_checked
from test_pressure_equals_oracle import figures

from vmcfg.guest.balloon import adapt
from vmcfg.guest.reclaim import WAITS, make_free
from vmcfg.jit import as_python, pinned
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.vmm import machine as at
from vmcfg.vmm import swap

TEXT = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: A balloon grows through its guest}}
seed: 5
run: {{duration: 110ms, epoch: 20ms, slice: 100us, sample: 10ms}}
hosts:
  h:
    memory: 32MiB
    cpu: haswell
    mmu: {{mode: nested}}
    disks: {{ssd: {{latency: {latency}, bandwidth: 4GiB/s}}}}
vms:
  a:
    memory: 16MiB
    kernel_memory: 64KiB
    swap: {{size: {swap}}}
    reclaim: {{victim: clock, keep_free: 1MiB}}
    balloon: {{poll: 10ms, max: 100%, schedule: [{{at: 25ms, target: {target}}}]}}
    workload: w
workloads:
  w:
    regions: {{heap: {{size: 12MiB}}}}
    phases:
      - {{pattern: {{kind: sequential, region: heap}}, write: 100%, accesses: 3072}}
      - {{pattern: {{kind: sequential, region: heap}}, write: 0%, rate: 1/s}}
"""
FREE = 743  # of 4,096 pages that are not the kernel's (16), the heap's (3,072), tables' (9) or kept free (256)


def text(latency: str = "20us", swap: str = "64MiB", target: str = "13MiB") -> str:
    """A guest that has used 12 of its 16 MiB, and is asked for most of them when it hardly does anything."""
    return TEXT.format(latency=latency, swap=swap, target=target)


def steps(scenario: str) -> list[int]:
    """Return by how many pages the balloon grows with each poll, from the first that hears of a target."""
    (vm,) = simulate_checked(compile_plan(loads(scenario))).vms
    held = [sample.pages["ballooned"] for sample in vm.samples]
    return [after - before for before, after in pairwise(held)][1:]


@pytest.mark.parametrize(
    ("before", "asked", "is_success", "after"),
    [
        (512, 512, True, 528), (2040, 2040, True, 2048), (2048, 2048, True, 2048), (2048, 2048, False, 1024),
        (1000, 1000, False, 512), (512, 512, False, 512), (512, 511, True, 512), (2048, 9, False, 1024),
    ],
)  # fmt: skip
def test_a_balloon_grows_faster_after_each_success_and_half_as_fast_after_a_failure(
    before: int, asked: int, is_success: bool, after: int
) -> None:
    """Of pages that cost the guest something: 16 more each time that all of the rate was asked, 512 to 2,048."""
    ((_, built),) = machines_of(loads(text()))
    built.guests.vm[0, at.BALLOON_RATE] = before
    as_python(adapt)(built, 0, asked, is_success)
    assert after == built.guests.vm[0, at.BALLOON_RATE]


def on_their_way(rate: int) -> int:
    """Return how many pages a guest sends out for a driver that asks for so many: a batch of 32 more, in whole ones."""
    return -(-(rate + 32) // 32) * 32


def test_the_rate_grows_while_the_guest_pages_out() -> None:
    """What is free comes at once; what is paged out for the balloon comes with the next poll, and the rate is up by 16.

    None of these polls gets a page that it asks for: all are on their way to the disk, and that is no failure.
    """
    growing = [on_their_way(rate) for rate in (512, 528, 544, 560)]
    assert [544, 576, 576, 608] == growing
    assert [FREE, *growing, 13 * 256 - FREE - sum(growing), 0, 0, 0] == steps(text())


def test_a_driver_that_waits_for_a_slow_disk_asks_for_no_more() -> None:
    """Its pages are on their way for 25 ms, two polls and a half: only with the third poll it can ask again."""
    assert [FREE, 0, 0, 544, 0, 0, 576, 0, 0] == steps(text("25ms"))


def test_a_balloon_ends_where_its_guest_has_nothing_left() -> None:
    """Of 1,024 slots of its swap area 544 hold the first poll's pages, and the rest those of the second."""
    assert [FREE, 544, 1024 - 544, 0] == steps(text(swap="4MiB"))[:4]


def test_the_last_pages_are_no_more_than_the_target() -> None:
    """700 pages beyond what is free: what the first poll has sent out, and the rest."""
    assert [FREE, 544, 156, 0] == steps(text(target=f"{4 * (FREE + 700)}KiB"))[:4]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", [text(), text("25ms"), text(swap="4MiB"), text("25ms", swap="4MiB")])
def test_a_growing_balloon_is_counted_as_by_the_oracle(scenario: str) -> None:
    assert figures(scenario)["a 2 balloon_inflated"] > FREE + 900


def test_a_guest_whose_disk_has_all_that_it_can_take_waits() -> None:
    """4,080 pages are on their way, and not one batch more fits beside them: that says nothing of what is left."""
    ((_, built),) = machines_of(loads(text()))
    built.guests.vm[0, [at.GUEST_FREE, at.GUEST_WANTED]] = 0, 5000
    built.paging.area[1, swap.LAUNCHED] = 4080
    built.paging.flights[swap.FLIGHTS : swap.FLIGHTS + 4080, swap.DONE_AT] = range(1, 4081)
    assert make_free(pinned(built), 0) == WAITS
    assert built.vcpu[0, at.WAITS_UNTIL] == 4080
