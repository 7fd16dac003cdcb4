"""Long streams: of two real programs, and one that others have counted under every policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from streams import zipf_ten_million

from vmcfg.reclaim.replay import replay, replay_layer
from vmcfg.scenario.spec import Trace
from vmcfg.workload.traces import read

DATA = Path(__file__).parents[2] / "scenarios" / "data"
PROGRAMS = {  # misses of LRU, FIFO, clock with its bit set at first, OPT in 64 pages
    "sort": (871, 1_402, 949, 591),
    "sqlite": (70_592, 131_432, 90_204, 32_113),
}
ZIPF_CAPACITY = 76_278  # a tenth of its pages
ZIPF_MISSES = {
    "fifo": 2_769_330,
    "lru": 2_462_997,
    "clock": 2_390_043,
    "clock_referenced": 2_536_979,
    "sieve": 2_074_596,
    "lfu": 2_074_596,
    "lru2": 2_074_596,
    "lru2_history": 2_099_882,
    "opt": 1_490_579,
}

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_miss_as_often_as_published(program: str) -> None:
    """Every access of the records, instructions too."""
    pages = read(Trace(program, DATA / f"{program}.u32.zst", "records")).records >> 2
    policies = ("lru", "fifo", "clock_referenced", "opt")
    assert PROGRAMS[program] == tuple(replay(pages, 64, policy) for policy in policies)


@pytest.mark.parametrize("policy", ZIPF_MISSES)
def test_the_long_zipf_stream_misses_as_often_as_published(policy: str) -> None:
    """At this size three policies agree by coincidence; the short strings tell them apart."""
    assert ZIPF_MISSES[policy] == replay(zipf_ten_million(), ZIPF_CAPACITY, policy)


@pytest.mark.parametrize("policy", ["fifo", "lru", "clock", "clock_referenced"])
def test_kernels_of_their_own_miss_as_often_as_the_layer(policy: str) -> None:
    """On the same long stream, in less than a hundredth of its pages and in more than all."""
    pages = zipf_ten_million()[:2_000_000]
    for capacity in (1_000, 900_000):
        assert replay_layer(pages, capacity, policy) == replay(pages, capacity, policy)
