"""Pages that leave memory and come back, against the oracle's dictionaries and lists: counts equal to the last one.

Every third machine has guests with files on a host that is not short: there is no oracle yet of what a host that pages
does to files. The others have hosts that page, half of them into a cache of compressed pages first. Every second
machine's processes have shared memory besides their own.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest
from machines import Case
from oracle import run as of_oracle
from oracle.memory import OutOfFramesError, OutOfGuestPagesError
from running import simulate_checked
from test_engine_equals_oracle import differences, figures_of_engine, figures_of_oracle

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

MODES = {
    "nested": "{mode: nested}",
    **{each: f"{{mode: shadow, shadow: {{variant: {each}}}}}" for each in ("virtual_tlb", "cached", "unsync")},
}
VICTIMS = ("random", "fifo", "clock", "clock_referenced", "sieve", "two_list")
TOLD = ("lru", "lfu", "lru2", "lru2_history", "clock", "clock_referenced", "sieve", "two_list")  # of every access
OF_GUESTS = (*VICTIMS, "lru", "lfu", "lru2")
SHARES = ("quarter: 30%, half: 40%", "half: 90%", "quarter: 100%", "quarter: 20%, half: 10%")  # that compress so well
MARKS = ("start_below: 20%, stop_above: 35%, every: 300us", "start_below: 5%, stop_above: 90%, every: 2ms")
TEXT = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Under pressure}}
seed: {seed}
run: {{accesses: {accesses}, epoch: 5ms, slice: 100us}}
hosts:
  h:
    memory: {host}KiB
    cores: {cores}
    cpu:
      profile: haswell
      tlb: {{l1: {{entries: 8, ways: 4}}, l1_instructions: none, l2: {{entries: 16, ways: 4}}}}
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s, seek: {seek}us}}}}
    {paging}
vms:
{vms}
workloads:
  w: {{{work}, events: [{events}{power}]}}]}}
  x: {{{work}, events: [{events}]}}]}}
"""
REGIONS = {
    "heap": "heap: {{size: {size}KiB}}",
    "mapped": "mapped: {{size: 360KiB, file: data}}",
    "buffer": "buffer: {{size: {size}KiB, shared: true}}",
}
WORK = "processes: 2, max_processes: 4, regions: {{{regions}}}, phases: [{{pattern: {pattern}, write: 40%"
HOT = "hot_cold, order: contiguous, hot: 16KiB, hot_share: 60%"  # four pages that the TLB holds
EVENTS = (
    "{kind: context_switch, every: 37}",
    "{kind: munmap, every: 61, region: heap, pages: 9}", "{kind: munmap, every: 190, region: heap, pages: 40}",
    "{kind: mprotect, every: 103, region: heap, pages: 5, to: read}",
    "{kind: mprotect, every: 139, region: heap, pages: 5, to: read_write}",
)  # fmt: skip
OF_FILES = (
    "{kind: read_file, every: 17, file: data, pages: 7}", "{kind: write_file, every: 29, file: data, pages: 3}",
    "{kind: write_file, every: 41, file: log, pages: 5}", "{kind: munmap, every: 83, region: mapped, pages: 20}",
    "{kind: mprotect, every: 97, region: mapped, pages: 9, to: read}",
)  # fmt: skip

OF_SHARED = (
    "{kind: munmap, every: 83, region: buffer, pages: 20}",
    "{kind: mprotect, every: 97, region: buffer, pages: 9, to: read}",
)  # fmt: skip


def scenario(number: int, mode: str, accesses: int = 1500) -> str:
    """Another machine for each number; every third has guests with files."""
    has_files = number % 3 == 2
    return machine(Random(number), number, mode, accesses, has_files, is_host_short=not has_files)


def machine(dice: Random, seed: int, mode: str, accesses: int, has_files: bool, is_host_short: bool) -> str:
    """One or two guests that are short of memory, with or without files, on a host that may be short of it, too.

    Those with several vCPUs have processes that neither come nor go, but by kills.
    """
    place, vcpus = dice.randrange(len(OF_GUESTS)), dice.choice((1, 1, 1, 2))
    names = "ab"[: dice.choice((1, 1, 2))]
    victims = (*OF_GUESTS[place:], *OF_GUESTS[:place])[::4]  # of two guests, they are of different kinds
    vms = [guest(dice, *each, vcpus, has_files) for each in zip(names, victims, strict=False)]
    pages = dice.choice((90, 130)) if all("3MiB" in vm or "oom" in vm for vm in vms) else 60
    kind = dice.choice(("uniform", "sequential", HOT))
    has_shared = seed % 2 == 1
    names_of_regions = ("heap", *["mapped"] * has_files, *["buffer"] * has_shared)
    events = [*dice.sample(EVENTS, 3), *dice.sample(OF_FILES, 3 * has_files), *OF_SHARED * has_shared]
    events += ["{kind: fork, every: 211}", "{kind: exit, every: 290}"] if vcpus == 1 else []
    swap = f"swap: {{size: {4 * dice.choice((900, 3000))}KiB}}\n    "
    regions = ", ".join(REGIONS[region].format(size=4 * pages) for region in names_of_regions)
    pattern = mixture(kind, names_of_regions)
    ends = power(dice, accesses, vcpus)
    if "reboot" in ends and dice.random() < 0.5:
        vms[0] = vms[0].replace("workload: w", "workload: w, boot: {duration: 2300us}")
    return TEXT.format(
        seed=seed,
        accesses=accesses,
        host=4 * dice.choice((170, 260)) * len(names) if is_host_short else 4000,
        cores=dice.choice((1, 2)),
        mmu=MODES[mode],
        seek=dice.choice((0, 30)),
        paging=swap + reclaim(dice, has_files) if is_host_short else "",
        vms="\n".join(vms),
        work=WORK.format(regions=regions, pattern=pattern),
        events=", ".join(events),
        power=ends,
    )


def power(dice: Random, accesses: int, vcpus: int) -> str:
    """The end of the first guest, or its reboots, if it is to know any; none of several vCPUs begins anew."""
    every = dice.randrange(accesses // 3, accesses + 1) + 1  # when memory has begun to be short
    kind = dice.choice(("", "power_off", "reboot", "power_off", "reboot"))
    kind = "power_off" if kind and vcpus > 1 else kind
    return f", {{kind: {kind}, every: {every}}}" if kind else ""


def mixture(kind: str, regions: Sequence[str]) -> str:
    """A pattern of touches to all regions in turn, or to the only one."""
    if len(regions) == 1:
        return f"{{kind: {kind}, region: {regions[0]}}}"
    parts = ", ".join(f"{{weight: 1, pattern: {{kind: {kind}, region: {region}}}}}" for region in regions)
    return f"{{kind: mixture, parts: [{parts}]}}"


def guest(dice: Random, name: str, victim: str, vcpus: int, has_files: bool) -> str:
    """A VM with or without a swap area, which may be too small for it, files, a balloon, and leave to kill."""
    parts = [f"memory: {4 * dice.choice((200, 300))}KiB", "kernel_memory: 32KiB", f"vcpus: {vcpus}"]
    parts += [f"workload: {'w' if name == 'a' else 'x'}", f"compresses: {{{dice.choice(SHARES)}}}"]
    has_swap = dice.random() < 0.7
    if has_swap:
        parts.append(f"swap: {{size: {dice.choice(('3MiB', '3MiB', '400KiB'))}}}")
    if has_files:
        parts.append("files: {log: {size: 200KiB}, data: {size: 400KiB}}")
        flushing = f"flush_every: 3ms, flush_after: {dice.choice((0, 3, 9))}ms"
        parts.append(f"page_cache: {{read_ahead: {dice.choice((1, 4, 16))}, {flushing}}}")
    if has_swap or has_files:
        parts.append(f"reclaim: {{victim: {victim}, keep_free: {dice.choice((32, 64, 128))}KiB}}")
    if dice.random() < 0.6:
        steps = ", ".join(f"{{at: {at}ms, target: {4 * dice.randrange(80)}KiB}}" for at in (2, 5, 9))
        parts.append(f"balloon: {{poll: 900us, schedule: [{steps}, {{at: 7ms, touched: true}}]}}")
    if dice.random() < 0.6:
        parts.append("oom: kill")
    return f"  {name}: {{{', '.join(parts)}}}"


def reclaim(dice: Random, has_files: bool) -> str:
    """A host's paging by any policy, told of every access or not, with a compression cache if there are no files."""
    victim = dice.choice((*VICTIMS, *(f"{each}, references: every_access" for each in TOLD)))
    sizes = f"batch: {dice.choice((1, 5, 8))}, read_ahead: {dice.choice((1, 4, 8))}"
    prevents = str(dice.random() < 0.3).lower()
    cache = f", compression: {{max: {dice.choice((1, 5, 20))}%}}" if dice.random() < 0.5 and not has_files else ""
    marks = f", watermarks: {{{dice.choice(MARKS)}}}" if dice.random() < 0.4 else ""
    return f"reclaim: {{paging: {{victim: {victim}, {sizes}, preventer: {prevents}{marks}}}{cache}}}"


def figures(text: str) -> dict[str, int]:
    """Compare engine and oracle, with all invariants checked at each epoch's end; return the figures, none if it fails.

    A guest whose pages or slots run out fails in both.
    """
    case = Case(loads(text), {})
    plan = compile_plan(case.scenario)
    try:
        oracle = figures_of_oracle(case, of_oracle(case.scenario))
    except (OutOfFramesError, OutOfGuestPagesError):
        with pytest.raises(RunFailed):
            simulate(plan, jobs=1)
        return {}
    engine = figures_of_engine(simulate_checked(plan))
    assert {} == differences(oracle, engine)
    return oracle


@pytest.mark.parametrize("mode", MODES)
def test_a_table_is_synced_for_whoever_unmaps_many_of_its_pages(mode: str) -> None:
    """One vCPU pages out what only the other has loaded, and so lets its table be; the other then unmaps 60 pages.

    It flushes by a load of CR3, after which no vCPU may go on using pages that are free now.
    """
    paging = "swap: {size: 3MiB}, reclaim: {victim: clock, keep_free: 64KiB}"
    vm = f"  a: {{memory: 800KiB, kernel_memory: 32KiB, vcpus: 2, workload: w, {paging}}}"
    work = WORK.format(regions="heap: {size: 520KiB}", pattern="{kind: uniform, region: heap}")
    events = "{kind: context_switch, every: 37}, {kind: munmap, every: 97, region: heap, pages: 60}"
    plain = {"paging": "", "power": "", "seek": 0, "host": 4000, "accesses": 1500, "cores": 2}
    assert figures(TEXT.format(seed=2, mmu=MODES[mode], vms=vm, work=work, events=events, **plain))


@pytest.mark.parametrize("victim", ["fifo", "two_list", "lru", "lfu", "lru2"])
def test_pages_of_files_go_where_the_swap_area_is_full(victim: str) -> None:
    """However seldom its policy would name them: nothing else can go, and the guest must not look for it for ever."""
    files = "files: {log: {size: 200KiB}, data: {size: 400KiB}}, swap: {size: 400KiB}, "
    paging = f"reclaim: {{victim: {victim}, keep_free: 128KiB}}"
    vm = f"  a: {{memory: 1200KiB, kernel_memory: 32KiB, vcpus: 2, workload: w, {files}{paging}}}"
    regions = "heap: {size: 240KiB}, mapped: {size: 360KiB, file: data}, buffer: {size: 240KiB}"
    work = WORK.format(regions=regions, pattern=mixture("sequential", ("heap", "mapped", "buffer")))
    events = "{kind: write_file, every: 29, file: data, pages: 3}, {kind: munmap, every: 83, region: mapped, pages: 20}"
    plain = {"paging": "", "power": "", "seek": 0, "host": 4000, "accesses": 1500, "cores": 1}
    found = figures(TEXT.format(seed=17, mmu=MODES["nested"], vms=vm, work=work, events=events, **plain))
    assert found["a 1 cache_drops"] > 0


@pytest.mark.parametrize("mode", ["nested", "unsync"])
def test_a_page_is_asked_for_before_the_walk_in_vain_has_cost_its_time(mode: str) -> None:
    """Dear references through data caches: what they take passes while the disk is at work, in rows of walks too."""
    caches = "data_caches: {l1: {size: 512B, ways: 2, latency: 40}, l2: none, llc: none, memory: 900}"
    paging = "swap: {size: 3MiB}\n    reclaim: {paging: {victim: fifo, batch: 8, read_ahead: 1}}"
    plain = {"paging": paging, "power": "", "events": "", "seek": 0, "host": 900, "accesses": 3000, "cores": 1}
    work = WORK.format(regions="heap: {size: 1200KiB}", pattern="{kind: uniform, region: heap}")
    vm = "  a: {memory: 2MiB, kernel_memory: 32KiB, workload: w}"
    text = TEXT.format(seed=3, mmu=MODES[mode], vms=vm, work=work, **plain)
    found = figures(text.replace("profile: haswell\n", f"profile: haswell\n      {caches}\n"))
    assert found["a 1 host_page_ins"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_what_leaves_memory_and_comes_back_is_counted_as_by_the_oracle(mode: str) -> None:
    """Forks, exits, unmappings, balloons, kills, files, power, pages in and out of host and guest, in many machines."""
    seen: Counter[str] = Counter()
    is_whole = "VMCFG_EXAMPLES" not in os.environ
    for number in (*range(16), 111):  # in 111 it matters when pages came along, to a policy that ranks by time
        found = figures(scenario(number, mode, 1500 if is_whole else 700))
        seen.update({name.rsplit(" ", 1)[-1]: n for name, n in found.items()})
    if not is_whole:  # fewer examples than the gate's need not show everything
        return
    moved = (
        "host_page_outs", "paged_ahead", "host_page_ins", "host_read_ahead", "guest_page_outs", "guest_page_ins",
        "double_page_outs", "double_page_ins",
        "false_reads", "stale_reads", "prevented_reads", "balloon_inflated", "balloon_deflated",
        "balloon_pops", "balloon_frames_won", "guest_slots_freed", "cow_faults", "process_exits", "blocked_cycles",
        "compressions", "decompressions", "compressed_evicted", "compress_rejected", "kills",
        "cache_hits", "cache_misses", "cache_drops", "file_pages_read", "file_pages_written", "file_read_ahead",
        "file_faults", "file_major_faults", "power",
    )  # fmt: skip
    assert [] == [name for name in moved if not seen[name]]
