"""Guests' page caches: what must hold at every epoch, and counts that a dictionary and a few lines agree to."""

from __future__ import annotations

from collections import OrderedDict
from random import Random

import pytest

from vmcfg.engine import simulate
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

MODES = ("{mode: native}", "{mode: nested}", "{mode: shadow}", "{mode: shadow, shadow: {variant: unsync}}")
VICTIMS = ("two_list", "clock", "sieve", "fifo", "random")
FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Files}}
seed: {seed}
run: {{accesses: {accesses}, epoch: 10ms, slice: 100us}}
hosts:
  h:
    memory: {host}
    cpu: haswell
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s}}, other: {{seek: 1ms}}}}
    {paging}
vms:
{vms}
workloads:
  w:
    {processes}
    regions: {{mapped: {{size: {mapped}, file: data}}, heap: {{size: {heap}}}}}
    phases:
      - {{pattern: {{kind: {pattern}, region: {region}}}, write: {write}, events: [{events}]}}
"""
EVENTS = (
    "{kind: fork, every: 701}", "{kind: exit, every: 907}", "{kind: exec, every: 1511}",
    "{kind: context_switch, every: 97}", "{kind: munmap, every: 211, region: mapped, pages: 90}",
    "{kind: mmap, every: 301, region: mapped, pages: 20}", "{kind: munmap, every: 311, region: heap, pages: 90}",
    "{kind: mprotect, every: 403, region: mapped, pages: 5, to: read}",
    "{kind: mprotect, every: 499, region: mapped, pages: 9, to: read_write}",
    "{kind: read_file, every: 61, file: data, pages: 17}", "{kind: write_file, every: 89, file: data, pages: 3}",
    "{kind: write_file, every: 131, file: log, pages: 5}",
)  # fmt: skip


def run(text: str) -> RunResult:
    """Run a scenario with all invariants checked at each epoch's end."""
    return simulate(compile_plan(loads(text)), check_invariants=True)


def machine(number: int) -> str:
    """One or two guests with files that are short of memory, on a host that may be, too: another for each number."""
    dice = Random(number)
    mmu = MODES[number % len(MODES)]
    vms, victim = [], dice.choice(VICTIMS)
    for name in "ab"[: dice.choice((1, 2))]:
        swap = dice.choice(("swap: {size: 8MiB}, ", "swap: {size: 128KiB}, ", ""))
        files = f"files: {{log: {{size: 1MiB}}, data: {{size: 3MiB, disk: {dice.choice(('ssd', 'other'))}}}}}"
        cache = f"page_cache: {{read_ahead: {dice.choice((1, 4, 32))}, flush_every: 7ms, flush_after: 20ms}}"
        own = f"{swap}{files}, {cache}, reclaim: {{victim: {victim}, keep_free: {dice.choice((64, 128))}KiB}}"
        vms.append(f"  {name}: {{memory: {dice.choice((2, 3))}MiB, kernel_memory: 64KiB, workload: w, {own}}}")
    cures = ", ".join(f"{cure}: {dice.choice(('true', 'false'))}" for cure in ("mapper", "preventer"))
    chosen = dice.choice(("fifo", "random", "two_list", "clock"))
    paging = f"{{victim: {chosen}, batch: 8, read_ahead: {dice.choice((1, 8))}, {cures}}}"
    is_paging = "native" not in mmu and dice.random() < 0.7
    return FRAME.format(
        seed=number, accesses=3000, host=f"{2 * len(vms)}MiB" if is_paging else "8MiB", mmu=mmu,
        paging=f"swap: {{size: 16MiB}}\n    reclaim: {{paging: {paging}}}" if is_paging else "",
        vms="\n".join(vms), processes="processes: 2\n    max_processes: 4", mapped="2MiB", heap="512KiB",
        pattern=dice.choice(("uniform", "sequential")), region=dice.choice(("mapped", "mapped", "heap")), write="40%",
        events=", ".join([EVENTS[0], *EVENTS[-3:-1], *dice.sample(EVENTS[1:], 6)]),
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 32, 8))
def test_each_page_of_a_file_is_in_one_place_whatever_happens(first: int) -> None:
    """After any sequence of faults, reads, writes, forks, unmappings and reclaim, in guest and host."""
    seen: dict[str, int] = {}
    for number in range(first, first + 8):
        for vm in run(machine(number)).vms:
            for name, count in vm.phases[1].counters.items():
                seen[name] = seen.get(name, 0) + count
    moved = ("cache_hits", "cache_misses", "file_read_ahead", "file_pages_written", "cache_drops", "file_faults")
    assert [] == [name for name in (*moved, "file_major_faults", "host_file_page_outs") if not seen[name]]


def reading(pages: int, ahead: int, file: str = "4MiB", memory: str = "2MiB", kind: str = "read_file") -> str:
    """A guest that does nothing but read a file, round and round; it chooses first in, first out."""
    own = f"files: {{data: {{size: {file}}}}}, page_cache: {{read_ahead: {ahead}}}"
    return FRAME.format(
        seed=1, accesses=2000, host="8MiB", mmu="{mode: nested}", paging="", processes="", mapped="4KiB", heap="4KiB",
        vms=f"  a: {{memory: {memory}, workload: w, reclaim: {{victim: fifo, keep_free: 64KiB}}, {own}}}",
        pattern="sequential", region="heap", write="0%",
        events=f"{{kind: {kind}, file: data, every: 1, pages: {pages}}}",
    )  # fmt: skip


@pytest.mark.parametrize(("pages", "ahead"), [(1, 1), (1, 8), (7, 32), (20, 4)])
def test_a_cache_is_a_dictionary_in_order_of_arrival(pages: int, ahead: int) -> None:
    """Missing pages come with those behind them, as far as half the watermark allows; the first in go first, by 32."""
    result = run(reading(pages, ahead))
    counters, tables = result.vms[0].phases[1].counters, result.vms[0].pages["guest_tables"]
    free, watermark, size = 512 - tables - 1, 16, 1024
    cached: OrderedDict[int, None] = OrderedDict()
    hits = misses = along = drops = 0
    for event in range(2000):
        wanted = [(event * pages + number) % size for number in range(pages)]
        while (missing := sum(page not in cached for page in wanted)) > free or (
            missing and cached and free < watermark
        ):
            while free < max(watermark, missing) + 32 and cached:
                for _ in range(min(32, len(cached))):
                    cached.popitem(last=False)
                    free += 1
                    drops += 1
        for number, page in enumerate(wanted):
            if page in cached:
                hits += 1
                continue
            misses += 1
            following = page
            while following < min(page + ahead, size) and following not in cached:
                if following > page and free <= pages - number + watermark // 2:
                    break
                cached[following] = None
                free -= 1
                following += 1
            along += following - page - 1
    found = [counters[name] for name in ("cache_hits", "cache_misses", "file_read_ahead", "cache_drops")]
    assert [hits, misses, along, drops] == found
    assert misses > 100 < drops
    assert (misses + along, 0) == (counters["file_pages_read"], counters["file_pages_written"])


def test_a_file_that_fits_is_read_once() -> None:
    """256 pages by 8 are 32 requests of the disk, one after the other: one seek, and all else are hits."""
    result = run(reading(1, 8, file="1MiB"))
    counters, disk = result.vms[0].phases[1].counters, result.hosts[0].disks[0].counters
    assert (32, 2000 - 32, 224) == tuple(counters[name] for name in ("cache_misses", "cache_hits", "file_read_ahead"))
    assert (32, 256, 1) == (disk["reads"], disk["pages_read"], disk["seeks"])


def test_what_is_written_whole_is_not_read_before() -> None:
    """write() of whole pages takes pages of the guest, dirty ones, which go to the disk before they are free again."""
    result = run(reading(4, 8, kind="write_file"))
    counters, disk = result.vms[0].phases[1].counters, result.hosts[0].disks[0].counters
    assert (0, 0) == (counters["file_pages_read"], disk["pages_read"])
    assert counters["file_pages_written"] == counters["cache_drops"] == disk["pages_written"] > 1000


def storing(flush: str, more: str = "") -> str:
    """A guest that stores to a page of a mapped file, over and over."""
    own = f"files: {{data: {{size: 64KiB}}}}, page_cache: {{{flush}}}"
    return FRAME.format(
        seed=1, accesses=100, host="8MiB", mmu="{mode: nested}", paging="", processes=more, mapped="4KiB", heap="4KiB",
        vms=f"  a: {{memory: 2MiB, workload: w, {own}}}", pattern="sequential", region="mapped", write="100%",
        events="",
    ).replace("write: 100%", "write: 100%, rate: 1000/s")  # fmt: skip


@pytest.mark.parametrize(("flush", "written"), [
    ("flush_every: 10ms, flush_after: 0s", 9),  # each turn finds the store's D, and writes; the run ends with the tenth
    ("flush_every: 10ms, flush_after: 20ms", 3),  # dirty from turn 1: written at 3; dirty again from 4: at 6; and at 9
    ("flush_every: 1s", 0),
])  # fmt: skip
def test_stores_are_seen_by_their_d_bits_and_written_when_they_are_old(flush: str, written: int) -> None:
    """A written page is clean, so that the next store is seen again: D goes from the table and from the TLB."""
    counters = run(storing(flush)).vms[0].phases[1].counters
    assert written == counters["file_pages_written"]
    assert written == counters["invlpgs"]


def test_processes_that_map_a_file_have_its_pages_once() -> None:
    """Two processes and a child: one page read, each of the others finds it in the cache, and nothing is copied."""
    events = "{kind: context_switch, every: 3}, {kind: fork, every: 17}, {kind: exit, every: 29}"
    text = storing("flush_every: 10ms", "processes: 2").replace("events: []", f"events: [{events}]")
    result = run(text)
    counters = result.vms[0].phases[1].counters
    assert (1, 0) == (counters["cache_misses"], counters["cow_faults"])
    assert (2, 1) == (counters["file_faults"], counters["file_major_faults"])
    assert counters["forks"] > 3
    assert 16 == result.vms[0].pages["guest_cached"]


def test_a_guest_without_swap_gives_up_its_files_and_nothing_else() -> None:
    """A heap that grows pushes a file out of memory; without files it would have run out of pages."""
    text = reading(8, 8).replace("heap: {size: 4KiB}", "heap: {size: 1MiB}")
    result = run(text)
    counters = result.vms[0].phases[1].counters
    assert (0, 256) == (counters["guest_page_outs"], counters["guest_faults"])
    assert counters["cache_drops"] > 1000
