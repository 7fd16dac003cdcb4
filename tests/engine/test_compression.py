"""The compression cache: page by page against a few lines that do the same, and what must hold at every epoch."""

from __future__ import annotations

from collections import Counter, OrderedDict
from pathlib import Path
from random import Random

import numpy as np
import pytest
from engine.machines import examples
from hypothesis import given
from hypothesis import strategies as st
from oracle.cache import Cache
from oracle.streams import draw, stream_key, word
from test_memory_pressure import FRAME, machine, run

from vmcfg.engine import simulate
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

RESERVE = 20  # frames that must be free before an access: (4 + 1) × 4
BATCH = 4
PAGES = 300  # of the trace; they have one guest table, and the guest of 512 pages one table of the host
MEMORY = 512
HOST = 256
FIRST_VPN = 0x400
HEAD = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: A compression cache}}
seed: 9
run: {{accesses: all, epoch: 1ms, slice: 100us}}
hosts:
  h:
    memory: 1MiB
    cpu: haswell
    mmu: {{mode: nested}}
    disks: {{ssd: {{latency: 0s, bandwidth: 1TiB/s, seek: 0s}}}}
    swap: {{size: {slots}}}
    reclaim: {{paging: {{victim: fifo, batch: {batch}}}, compression: {{max: {most}%}}}}
vms:
  a: {{memory: 2MiB, workload: w, compresses: {{quarter: {quarter}%, half: {half}%}}}}
workloads:
  w: {{phases: [{{trace: {{file: {file}, format: u64}}}}]}}
"""


class Expected:
    """A host that pages first in, first out, with a cache before a disk that is done before anybody asks again."""

    def __init__(self, free: int, slots: int, most: int, quarter: int, half: int) -> None:
        self.free, self.flying = free, 0
        self.cache = Cache(MEMORY * most // 100)
        self.shares = quarter * 10_000, half * 10_000
        self.resident: OrderedDict[int, None] = OrderedDict()
        self.slots, self.swapped = slots, set[int]()
        self.quota = 0
        self.ppns: dict[int, int] = {}
        self.counts: Counter[str] = Counter()

    def touch(self, page: int) -> None:
        """Let a page be there, and others go for it if frames are short."""
        if page in self.resident:
            return
        if self.free < RESERVE:
            self._make_room()
        if page in self.cache.entries:
            self.free += self.cache.drop(page)
            self.counts["decompressions"] += 1
        elif page in self.swapped:
            self.swapped.remove(page)
            self.counts["host_page_ins"] += 1
        self.ppns.setdefault(page, 4 + len(self.ppns))  # behind a table of each level
        self.resident[page] = None
        self.free -= 1

    def quarters(self, page: int) -> int:
        """Return how many quarters of a frame a page takes when it is compressed, 0 if too many."""
        drawn = draw(word(KEY, self.ppns[page]), 1_000_000)
        return 1 if drawn < self.shares[0] else 2 if drawn < sum(self.shares) else 0

    def _make_room(self) -> None:
        """Page out until a batch is free beside the reserve; who is short then finds all written when he asks again."""
        while self.free < RESERVE:
            self.free, self.flying = self.free + self.flying, 0
            while self.free + self.flying < RESERVE + BATCH and self.quota:
                self._page_out()
            if self.free + self.flying < RESERVE:
                most = max(RESERVE, len(self.resident) >> 4)
                self.quota = min(self.slots - len(self.swapped), len(self.resident), most)
                assert self.quota, "out of frames"

    def _page_out(self) -> None:
        for _ in range(BATCH):
            if len(self.swapped) == self.slots:
                self.quota = 0
                break
            page, _ = self.resident.popitem(last=False)
            self._send(page)
        self.quota = max(0, self.quota - BATCH)

    def _send(self, page: int) -> None:
        """Compress a page, or write it."""
        quarters = self.quarters(page) if self.cache.limit else 0
        while quarters and not self.cache.has_place(quarters):
            if self.slots - len(self.swapped) < 2 or self.free == 0:
                quarters = 0
                break
            oldest = next(iter(self.cache.entries))
            self.free += self.cache.drop(oldest) - 1
            self._write(oldest)
            self.counts["compressed_evicted"] += 1
        if quarters:
            self.free += 1 - self.cache.keep(page, quarters)
            self.counts["compressions"] += 1
            return
        self.counts["compress_rejected"] += self.cache.limit > 0
        self._write(page)

    def _write(self, page: int) -> None:
        self.swapped.add(page)
        self.flying += 1
        self.counts["host_page_outs"] += 1


KEY = stream_key(9, "a/compressibility")


def replay(folder: Path, pages: list[int], **given: int) -> RunResult:
    """Run a trace of loads under a compression cache, with all invariants checked at each epoch's end."""
    np.array([FIRST_VPN + page for page in pages], "<u8").tofile(folder / "pages.u64")
    text = HEAD.format(file=folder / "pages.u64", batch=BATCH, **{**given, "slots": f"{4 * given['slots']}KiB"})
    return simulate(compile_plan(loads(text)), check_invariants=True)


def overhead() -> int:
    """Frames of the EPT: one table of each level."""
    return 4


@given(
    seed=st.integers(0, 2**32),
    most=st.sampled_from((0, 1, 2, 5, 10, 40)),
    shares=st.sampled_from(((0, 0), (100, 0), (0, 100), (30, 40), (50, 50), (5, 80))),
    slots=st.sampled_from((60, 200, 400)),
    is_looping=st.booleans(),
)
@examples(30)
def test_the_cache_holds_what_a_list_of_frames_holds(
    tmp_path_factory: pytest.TempPathFactory, seed: int, most: int, shares: tuple[int, int], slots: int,
    is_looping: bool,
) -> None:  # fmt: skip
    """Every count, every page's place, and the frames that the cache takes, to the last one."""
    dice = Random(seed)
    footprint = dice.choice((220, 260, PAGES))
    pages = [n % footprint if is_looping else dice.randrange(footprint) for n in range(1500)]
    quarter, half = shares
    expected = Expected(HOST - overhead() - 4, slots, most, quarter, half)
    try:
        for page in pages:
            expected.touch(page)
    except AssertionError:
        return  # too few slots for what does not fit anywhere: such a run fails
    result = replay(tmp_path_factory.mktemp("cache"), pages, most=most, quarter=quarter, half=half, slots=slots)
    (found,) = result.vms
    names = ("compressions", "compress_rejected", "decompressions", "compressed_evicted", "host_page_outs",
             "host_page_ins")  # fmt: skip
    assert {name: expected.counts[name] for name in names} == {name: found.phases[1].counters[name] for name in names}
    assert len(expected.swapped) == found.pages["swapped"]
    assert len(expected.resident) + 4 == found.pages["private"]
    assert (len(expected.cache.entries), len(expected.cache.frames)) == (
        found.pages.get("compressed", 0), found.pages.get("cache_frames", 0)
    )  # fmt: skip
    assert expected.free == result.hosts[0].frames["free"]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 18, 6))
def test_nothing_is_lost_in_the_cache(first: int) -> None:
    """After any sequence of touches, forks, exits, balloons and pages in and out, in all modes that page."""
    seen: Counter[str] = Counter()
    for number in range(first, first + 6):
        dice = Random(number)
        most = f"{dice.choice((1, 5, 20))}%"
        text = machine(number).replace("reclaim: {paging", f"reclaim: {{compression: {{max: {most}}}, paging")
        shares = dice.choice(("quarter: 30%, half: 40%", "half: 90%", "quarter: 100%"))
        text = text.replace("kernel_memory: 64KiB", f"kernel_memory: 64KiB, compresses: {{{shares}}}")
        for vm in run(text).vms:
            seen += Counter(vm.phases[1].counters)
    moved = ("compressions", "decompressions", "host_page_outs")
    assert [] == [name for name in moved if not seen[name]]


def test_a_page_in_from_the_cache_costs_an_exit_and_no_disk(tmp_path: Path) -> None:
    """All fits the cache by quarters: exit 1,300 + handler 1,500 + decompression 27,040 each; nothing is read."""
    pages = [n % 260 for n in range(1500)]
    result = replay(tmp_path, pages, most=40, quarter=100, half=0, slots=400)
    phase = result.vms[0].phases[1]
    count, cycles = phase.exits["decompress"]
    assert count == phase.counters["decompressions"] > 500
    assert cycles == count * (1300 + 1500 + 27_040)
    assert 0 == phase.counters["blocked_cycles"] == result.hosts[0].disks[0].counters["reads"]


def test_a_preventer_spares_the_decompression_of_what_is_overwritten() -> None:
    """A guest that zeroes pages which lie in the cache: they are dropped, at no cost but the exit's."""
    more = ("swap: {size: 16MiB}\n    reclaim: "
            "{paging: {victim: fifo, batch: 8, preventer: true}, compression: {max: 50%}}")  # fmt: skip
    vms = "  a: {memory: 8MiB, workload: w, compresses: {quarter: 100%}}"
    text = FRAME.format(
        seed=1, accesses=5000, host="2MiB", mmu="{mode: nested}", processes="", vms=vms, more=more,
        pattern="{kind: sequential, size: 6MiB}", events="{kind: munmap, every: 500, pages: 300}",
    )  # fmt: skip
    plain = run(text.replace("preventer: true", "preventer: false")).vms[0].phases[1].counters
    spared = run(text).vms[0].phases[1].counters
    assert 0 == plain["compressed_dropped"]
    assert spared["compressed_dropped"] > 100
