"""Strides, pointer chases and mixtures: what they touch, in which order, and how often."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import tiny

import vmcfg
from vmcfg.engine import loop
from vmcfg.engine.build import build
from vmcfg.jit import entry
from vmcfg.plan import compile_plan
from vmcfg.plan.show import render
from vmcfg.scenario.spec import Mixture, Part, Pattern, Phase, Region, Scenario, Stride, Workload
from vmcfg.vmm import machine as at
from vmcfg.workload.inputs import load_inputs
from vmcfg.workload.patterns import stride
from vmcfg.workload.patterns.drawn import Drawn

NO_PLACE = (np.uint64(0),) * 4
TIB = 1 << 40


def touched(pattern: Pattern, count: int, pages: tuple[int, ...] = (8,), vcpus: int = 1) -> list[list[int]]:
    """Return the pages, counted from the first region, that each vCPU touches in `count` ≤ BATCH touches."""
    scenario = _scenario(tiny.phase(pattern=pattern, accesses=count), pages, vcpus)
    plan = compile_plan(scenario)
    machine = build(plan.hosts[0], scenario.seed, load_inputs([]))
    loop.run(machine, at.UNLIMITED)
    return [((row[:count] >> at.VPN_SHIFT) & at.VPN_MASK).tolist() for row in machine.work.buffer]


def _scenario(phase: Phase, pages: tuple[int, ...], vcpus: int) -> Scenario:
    regions, first = [], 0
    for number, size in enumerate(pages):
        regions.append(Region(f"r{number}", first, size))
        first += size
    vm = tiny.vm_at_start(memory_pages=first + 600, vcpus=vcpus)
    return tiny.scenario(vm, runs=Workload("w", tuple(regions), (phase,)), seed=7)


@pytest.mark.parametrize(
    ("stride_bytes", "expected"),
    [
        (4096, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]),
        (8192, [0, 2, 4, 1, 3, 0, 2, 4, 1, 3]),
        (2048, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (6144, [0, 1, 3, 4, 1, 2, 4, 0, 2, 3]),  # bytes 0, 6144, 12288, 18432, 24576 - 20480 = 4096, …
        (16384, [0, 4, 3, 2, 1, 0, 4, 3, 2, 1]),
    ],
)
def test_a_stride_goes_on_where_it_leaves_off(stride_bytes: int, expected: list[int]) -> None:
    """In five pages; the rest of a stride that passes the end counts from the start."""
    assert [expected] == touched(Stride("stride", 0, stride_bytes=stride_bytes), 10, (5,))


def test_a_scattered_stride_visits_as_many_pages() -> None:
    """Every second of 64 pages, each at another place, and the same 32 in each round."""
    first = touched(Stride("stride", 0, "scattered", stride_bytes=8192), 64, (64,))[0]
    assert (32, first[:32]) == (len(set(first)), first[32:])
    assert sorted(first[:32]) != list(range(0, 64, 2))


@entry
def positions(drawn, nth):  # type: ignore[no-untyped-def]
    """Return the byte of a step, and that of the next."""
    return stride.position(drawn, nth), stride.following(drawn, stride.position(drawn, nth))


@given(st.integers(1, TIB >> 12), st.integers(1, TIB - 1), st.integers(0, (1 << 62) - 1))
@settings(max_examples=300)
def test_strides_do_not_overflow(pages: int, stride_bytes: int, nth: int) -> None:
    """Step n is at byte n · stride mod size, for n up to 2^62 and regions up to 1 TiB, where products have 102 bits."""
    size = pages << 12
    stride_bytes %= size
    leap = stride.leap_of(stride_bytes, size)
    drawn = Drawn(0, 0, pages, 0, 0, stride_bytes, leap, 0, np.uint64(0), NO_PLACE)
    assert (nth * stride_bytes % size, (nth + 1) * stride_bytes % size) == positions(drawn, nth)


@pytest.mark.parametrize("pages", [1, 2, 3, 64, 65, 500])
def test_a_chase_meets_every_page_before_it_meets_one_again(pages: int) -> None:
    """Three rounds are the same cycle of all pages, and two vCPUs walk the same one."""
    first, second = touched(Pattern("pointer_chase", 0), 3 * pages, (pages,), vcpus=2)
    assert list(range(pages)) == sorted(first[:pages])
    assert first == second == 3 * first[:pages]


def test_a_chase_does_not_go_the_way_of_a_scattered_scan() -> None:
    """Its permutation has a name of its own: `chase/…`, not `order/…`."""
    assert touched(Pattern("pointer_chase", 0), 64, (64,)) != touched(Stride("stride", 0, "scattered"), 64, (64,))


def test_the_next_page_of_a_chase_is_far_away() -> None:
    """Of 512 pages, hardly one step in a hundred leads to a neighbour, and no distance is frequent."""
    pages = touched(Pattern("pointer_chase", 0), 512, (512,))[0]
    distances = Counter((b - a) % 512 for a, b in pairwise(pages))
    assert distances[1] + distances[511] < 12
    assert max(distances.values()) < 16


def test_touches_fall_to_parts_by_weight() -> None:
    """2,000 touches at 3 : 1 : 0.001 are 1,500 and 500 within four standard deviations of 19."""
    parts = (Part(3000, Pattern("uniform", 0)), Part(1000, Pattern("uniform", 1)), Part(1, Pattern("uniform", 2)))
    pages = touched(Mixture("mixture", -1, parts=parts), 2000, (4, 4, 4))[0]
    shares = Counter(page // 4 for page in pages)
    assert abs(shares[0] - 1500) < 76 and shares[2] < 10


def test_a_part_misses_no_page() -> None:
    """A scan, a stride and a chase in one mixture: each by itself is what it would be alone."""
    kinds = (Pattern("sequential", 0), Stride("stride", 1, stride_bytes=8192), Pattern("pointer_chase", 2))
    mixed = touched(Mixture("mixture", -1, parts=tuple(Part(1, kind) for kind in kinds)), 900, (8, 5, 7))[0]
    for kind, first, size in zip(kinds, (0, 8, 13), (8, 5, 7), strict=True):
        own = [page for page in mixed if first <= page < first + size]
        assert touched(kind, len(own), (8, 5, 7))[0] == own


def test_a_mixture_of_one_is_that_pattern() -> None:
    """The same words give the same pages: what chooses has a stream of its own."""
    zipf = Pattern("zipf", 0, "scattered", alpha="0.9")
    assert touched(zipf, 500, (300,)) == touched(Mixture("mixture", -1, parts=(Part(5, zipf),)), 500, (300,))


def test_a_plan_shows_a_mixture_part_by_part() -> None:
    """With weights, parameters and places."""
    parts = (Part(3, Stride("stride", 0, stride_bytes=64)), Part(1, Pattern("pointer_chase", 1)))
    scenario = _scenario(tiny.phase(pattern=Mixture("mixture", -1, parts=parts), accesses=5), (4, 8), 1)
    lines = [" ".join(line.split()) for line in render(compile_plan(scenario)).splitlines()]
    start = lines.index("w 1 mixture of 2 parts - - back to back 0% 1 5 touches")
    assert ["3 in 4: stride of 64B, contiguous 4 0x0", "1 in 4: pointer_chase 8 0x4"] == lines[start + 1 : start + 3]


def test_parts_with_sizes_make_regions_of_their_own() -> None:
    """Named after phase and part, in written order behind the named ones."""
    everything = Path(__file__).parents[1] / "scenario" / "good" / "everything.yaml"
    scan = vmcfg.load(everything).scenario.workloads[1]
    names = [(region.name, region.pages) for region in scan.regions]
    assert [("pages", 256), ("phase-1", 1024), ("phase-3-part-2", 256), ("phase-4", 1024)] == names
    hot = Pattern("hot_cold", 2, "scattered", hot_pages=1, hot_share_ppm=900_000)
    parts = (Part(3, Stride("stride", 0, stride_bytes=64)), Part(1, hot))
    assert Mixture("mixture", -1, parts=parts) == scan.phases[2].pattern
    assert Stride("stride", 1, "scattered", stride_bytes=12_288) == scan.phases[0].pattern
