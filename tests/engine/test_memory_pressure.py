"""Pages that leave memory and come back: what must hold at every epoch, and counts that a few lines agree to."""

from __future__ import annotations

from collections import OrderedDict
from random import Random

import pytest
from running import machines_of, simulate_checked

from vmcfg.errors import RunFailed
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.vmm import machine as at

MODES = ("{mode: nested}", *(f"{{mode: shadow, shadow: {{variant: {each}}}}}" for each in ("cached", "unsync")))
VICTIMS = ("random", "fifo", "clock", "clock_referenced", "sieve", "two_list")
FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Under pressure}}
seed: {seed}
run: {{accesses: {accesses}, epoch: 20ms, slice: 100us}}
hosts:
  h:
    memory: {host}
    cpu: haswell
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s}}}}
    {more}
vms:
{vms}
workloads:
  w: {{{processes}phases: [{{pattern: {pattern}, write: 40%, events: [{events}]}}]}}
"""
EVENTS = (
    "{kind: fork, every: 701}", "{kind: exit, every: 907}", "{kind: exec, every: 1511}",
    "{kind: context_switch, every: 97}", "{kind: munmap, every: 211, pages: 9}", "{kind: mmap, every: 301, pages: 20}",
    "{kind: mprotect, every: 403, pages: 5, to: read}", "{kind: mprotect, every: 499, pages: 5, to: read_write}",
)  # fmt: skip


def run(text: str) -> RunResult:
    """Run a scenario with all invariants checked at each epoch's end, and the sums of its counters."""
    return simulate_checked(compile_plan(loads(text)))


def machine(number: int) -> str:
    """A host that is short of memory, with one or two guests that are, too: another one for each number."""
    dice = Random(number)
    vms = []
    victim = dice.choice(VICTIMS)
    for name in "ab"[: dice.choice((1, 2))]:
        steps = ", ".join(f"{{at: {at}ms, target: {4 * dice.randrange(60)}KiB}}" for at in (30, 60, 90))
        schedule = f"[{steps}, {{at: 75ms, touched: true}}]"
        balloon = f"balloon: {{poll: 7ms, schedule: {schedule}}}" if dice.random() < 0.6 else ""
        own = f"swap: {{size: 8MiB}}, reclaim: {{victim: {victim}, keep_free: 128KiB}}, {balloon}"
        vms.append(f"  {name}: {{memory: {dice.choice((2, 3))}MiB, kernel_memory: 64KiB, workload: w, {own}}}")
    paging = f"{{victim: {dice.choice(VICTIMS)}, batch: {dice.choice((1, 8))}, read_ahead: {dice.choice((1, 8))}}}"
    return FRAME.format(
        seed=number,
        accesses=4000,
        host=f"{3 * len(vms)}MiB",
        mmu=dice.choice(MODES),
        more=f"swap: {{size: 16MiB}}\n    reclaim: {{paging: {paging}}}",
        vms="\n".join(vms),
        processes="processes: 2, max_processes: 4, ",
        pattern=dice.choice(("{kind: uniform, size: 2MiB}", "{kind: sequential, size: 2MiB}")),
        events=", ".join([EVENTS[0], *dice.sample(EVENTS[1:], 4)]),
    )


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 24, 6))
def test_nothing_is_lost_on_the_way_out_and_back(first: int) -> None:
    """After any sequence of touches, forks, exits, unmappings, balloons and pages in and out: slots, layers, frames."""
    seen: dict[str, int] = {}
    for number in range(first, first + 6):
        for vm in run(machine(number)).vms:
            for name, count in vm.phases[1].counters.items():
                seen[name] = seen.get(name, 0) + count
    moved = ("host_page_outs", "host_page_ins", "guest_page_outs", "guest_page_ins", "double_page_outs", "forks")
    assert [] == [name for name in moved if not seen[name]]


def paged(accesses: int, pattern: str, host: str = "2MiB", victim: str = "fifo", batch: int = 8) -> str:
    paging = f"{{paging: {{victim: {victim}, batch: {batch}}}}}"
    return FRAME.format(
        seed=1, accesses=accesses, host=host, mmu="{mode: nested}", processes="", pattern=pattern, events="",
        more=f"swap: {{size: 16MiB}}\n    reclaim: {paging}", vms="  a: {memory: 8MiB, workload: w}",
    )  # fmt: skip


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_pages_go_as_a_list_of_them_says(batch: int) -> None:
    """First in, first out: evicted in batches until the reserve and one batch are free, whenever a touch finds less."""
    text = paged(6000, "{kind: stride, size: 4MiB, stride: 20KiB}", batch=batch)
    result = run(text)
    ((host, built),) = machines_of(loads(text))
    frames, tables = result.hosts[0].frames, result.vms[0].pages["guest_tables"]
    free = frames["total"] - frames["overhead"] - tables  # all tables come with the first touch
    resident: OrderedDict[int, None] = OrderedDict()
    outs = ins = 0
    known: set[int] = set()
    reserve = host.reserve_frames
    for touch in range(6000):
        page = touch * 5 % 1024
        if page in resident:
            continue
        if free < reserve:
            while free < reserve + batch:
                for _ in range(batch):
                    resident.popitem(last=False)
                free += batch
                outs += batch
        ins += page in known
        known.add(page)
        resident[page] = None
        free -= 1
    counters = result.vms[0].phases[1].counters
    assert ins == counters["host_page_ins"]
    assert abs(outs - counters["host_page_outs"]) <= 2 * batch  # where a quota ends, a batch more or less
    assert int(built.host.counts[at.RESERVE]) == reserve


def test_who_waits_for_a_disk_is_blocked_for_just_as_long() -> None:
    """One page at a time from an idle disk: latency + 4096 bytes at 1 GiB/s, 20 µs and 4 µs of 3.4 GHz or so."""
    text = paged(2000, "{kind: sequential, size: 3MiB}", batch=1)
    result = run(text)
    phase, disk, hz = result.vms[0].phases[1].counters, result.hosts[0].disks[0].counters, result.hosts[0].hz
    transfer = -(-4096 * hz // 2**30)
    latency = (20_000 * hz + 500_000_000) // 1_000_000_000
    assert disk["pages_read"] == phase["host_page_ins"] > 400
    assert phase["blocked_cycles"] >= phase["host_page_ins"] * (transfer + latency)
    assert disk["busy_cycles"] == (disk["pages_read"] + disk["pages_written"]) * transfer


@pytest.mark.parametrize("victim", ["random", "fifo"])
def test_a_page_that_comes_along_is_counted_for_the_guest_that_has_it(victim: str) -> None:
    """Batches of two guests lie side by side in the swap area, so that each reads pages of the other ahead."""
    text = paged(3000, "{kind: uniform, size: 1200KiB}", victim=victim, batch=4)
    text = text.replace("batch: 4", "batch: 4, read_ahead: 8").replace("vms:", "vms:\n  b: {memory: 2MiB, workload: w}")
    vms = run(text).vms
    assert all(vm.phases[1].counters["host_read_ahead"] for vm in vms)
    for vm in vms:
        n = vm.phases[1].counters
        assert vm.pages["swapped"] == n["host_page_outs"] - n["host_page_ins"] - n["host_read_ahead"]


def test_an_overwritten_page_need_not_be_read() -> None:
    """A guest that zeroes pages which the host has paged out makes it read them in vain; a preventer spares that."""
    events = "{kind: munmap, every: 500, pages: 300}"
    plain = paged(5000, "{kind: sequential, size: 6MiB}").replace("events: []", f"events: [{events}]")
    first = run(plain).vms[0].phases[1].counters
    second = run(plain.replace("batch: 8", "batch: 8, preventer: true")).vms[0].phases[1].counters
    assert first["false_reads"] > 100
    assert (0, 0) == (first["prevented_reads"], second["false_reads"])
    assert second["prevented_reads"] > 100


def ballooned(schedule: str, pattern: str = "{kind: uniform, size: 4MiB}", more: str = "") -> str:
    vm = f"  a: {{memory: 8MiB, workload: w, {more}balloon: {{poll: 10ms, schedule: [{schedule}]}}}}"
    text = FRAME.format(
        seed=1, accesses=100, host="32MiB", mmu="{mode: nested}", more="", vms=vm, processes="", pattern=pattern,
        events="",
    )  # fmt: skip
    return text.replace("accesses: 100", "duration: 200ms").replace("write: 40%", "write: 40%, rate: 100000/s")


def test_a_balloon_meets_its_target_to_the_page() -> None:
    """3 MiB are 768 pages; the host gets frames only for those that had one."""
    vm = run(ballooned("{at: 50ms, target: 3MiB}")).vms[0]
    assert (768, 768, 768) == (
        vm.pages["ballooned"], vm.pages["balloon"], vm.phases[1].counters["balloon_inflated"],
    )  # fmt: skip
    assert 0 == vm.phases[1].counters["balloon_frames_won"]  # free pages that nobody ever touched


def test_a_balloon_that_is_touched_pops_and_comes_back() -> None:
    """One exit tells the host; the driver hears of it at its next contact and begins anew."""
    vm = run(ballooned("{at: 50ms, target: 2MiB}, {at: 105ms, touched: true}")).vms[0]
    assert (1, 1) == (vm.phases[1].counters["balloon_pops"], vm.phases[1].exits["balloon_pop"][0])
    assert (512, 2 * 512) == (vm.pages["ballooned"], vm.phases[1].counters["balloon_inflated"])
    assert 512 == vm.phases[1].counters["balloon_frames_won"]  # the second time its pages had been touched


def touched_on(host: str) -> str:
    """A guest of 4 MiB in use gives away 3 that it never touched, and writes to these, on a smaller host."""
    plain = ballooned("{at: 5ms, target: 3MiB}, {at: 105ms, touched: true}", "{kind: sequential, size: 4MiB}")
    return plain.replace("memory: 32MiB", f"memory: {host}")


def test_a_host_pages_for_a_guest_that_touches_its_balloon() -> None:
    """The touching waits where the host is short: all 768 pages get frames, if not all of them at the same time."""
    vm = run(touched_on("6MiB\n    swap: {size: 16MiB}\n    reclaim: {paging: {victim: fifo}}")).vms[0]
    counters = vm.phases[1].counters
    assert 1 == counters["balloon_pops"]
    assert counters["host_page_outs"] > 100
    assert 768 == counters["balloon_frames_won"] + counters["host_slots_dropped"]


def test_a_host_that_cannot_page_fails_when_a_balloon_is_touched() -> None:
    with pytest.raises(RunFailed, match=r"vm a needs machine frames and host \w+ has not enough"):
        run(touched_on("6MiB"))


def test_a_balloon_takes_what_its_guest_pages_out() -> None:
    """Of 8 MiB with 7 in use, a balloon of 4 leaves the guest no choice but its own swap area."""
    vm = run(ballooned("{at: 20ms, target: 4MiB}", "{kind: uniform, size: 7MiB}", "swap: {size: 16MiB}, ")).vms[0]
    assert 1024 == vm.pages["ballooned"]
    assert vm.phases[1].counters["guest_page_outs"] > 500
    assert 0 == vm.phases[1].counters["host_page_outs"]
