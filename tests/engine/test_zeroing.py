"""Guests that zero: at boot every page gets a frame before the workload begins, and a thread touches what was freed."""

from __future__ import annotations

import pytest

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

SHADOW = ("virtual_tlb", "cached", "unsync")
MODES = ("{mode: nested}", *(f"{{mode: shadow, shadow: {{variant: {each}}}}}" for each in SHADOW), "{mode: native}")
FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Guests that zero}}
seed: 1
run: {{{run}, epoch: 5ms}}
hosts:
  h:
    memory: {host}
    cpu: haswell
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s, seek: 0s}}}}
    {paging}
vms:
  a: {{memory: 8MiB, kernel_memory: {kernel}, workload: w, {more}}}
workloads:
  w: {{phases: [{{pattern: {{kind: sequential, size: 1MiB}}, rate: 100k/s, events: [{events}]}}]}}
"""
PAGES, KERNEL = 2048, 16


def run(more: str, mmu: str = MODES[0], **settings: str) -> RunResult:
    """Run one guest with all invariants checked at each epoch's end."""
    usual = {"run": "accesses: 2000", "host": "32MiB", "paging": "", "events": "", "kernel": "64KiB"}
    text = FRAME.format(mmu=mmu, more=more, **{**usual, **settings})
    return simulate(compile_plan(loads(text)), check_invariants=True)


@pytest.mark.parametrize("mmu", MODES)
def test_a_boot_touches_every_page_once(mmu: str) -> None:
    """All but the kernel's 16 and the root are zeroed; no page is left without a frame, and the workload is whole."""
    vm = run("boot: {zeroes: 1GiB/s}", mmu).vms[0]
    assert PAGES - KERNEL - 1 == vm.phases[1].counters["boot_zeroed_pages"]
    assert (PAGES, 0) == (vm.pages["private"], vm.pages["unbacked"])
    assert 2000 == vm.phases[1].counters["touches"]


def test_a_boot_lasts_as_its_rate_says_and_as_its_duration_says() -> None:
    """Of a run of 60 ms at 100 touches per ms: 8128 KiB at 400 MiB/s take 20 ms, a boot of 30 ms leaves 30."""
    touches = [
        run(f"boot: {{{boot}}}", run="duration: 60ms").vms[0].phases[1].counters["touches"]
        for boot in ("zeroes: 400MiB/s", "duration: 30ms", "zeroes: 400MiB/s, duration: 30ms")
    ]
    assert 3900 < touches[0] <= 4000  # less what the last step took
    assert [3000, 3000] == touches[1:]


def test_the_warm_up_begins_after_the_boot() -> None:
    """30 ms of boot, then 10 of warm-up: 20 of 60 ms are left to count."""
    found = run("boot: {duration: 30ms}", run="duration: 60ms, warmup: 10ms").vms[0]
    assert [1000, 2000] == [phase.counters["touches"] for phase in found.phases]


def test_a_driver_is_silent_while_its_guest_boots() -> None:
    """Its target of 4 MiB is met to the page, and every page of it had been touched before: 1,024 frames."""
    balloon = "balloon: {target: 4MiB, poll: 1ms}"
    booted = run(f"{balloon}, boot: {{zeroes: 400MiB/s}}", run="duration: 60ms").vms[0]
    at_once = run(balloon, run="duration: 60ms").vms[0]
    assert (1024, 1024) == (booted.pages["ballooned"], at_once.pages["ballooned"])
    won = [vm.phases[1].counters["balloon_frames_won"] for vm in (booted, at_once)]
    assert [1024, 0] == won


def test_a_host_that_is_too_small_pages_or_fails() -> None:
    """A boot needs all 8 MiB; with 4 the host pages out what was zeroed first, or has nothing to give."""
    paging = "swap: {size: 16MiB}\n    reclaim: {paging: {victim: fifo}}"
    paged = run("boot: {zeroes: 400MiB/s}", host="4MiB", paging=paging).vms[0]
    assert paged.phases[1].counters["host_page_outs"] > 1000
    with pytest.raises(RunFailed) as raised:
        run("boot: {zeroes: 400MiB/s}", host="4MiB")
    assert "out_of_frames" == raised.value.code


@pytest.mark.parametrize("mmu", MODES[:4])
def test_a_thread_touches_what_was_freed(mmu: str) -> None:
    """A balloon of 2 MiB comes back without frames, and the thread takes 512; without it none is taken."""
    balloon = "balloon: {poll: 1ms, schedule: [{at: 5ms, target: 2MiB}, {at: 20ms, target: 0B}]}"
    frames = {}
    for thread in ("", ", zero_thread: 200MiB/s"):
        vm = run(balloon + thread, mmu, run="duration: 60ms").vms[0]
        frames[thread] = vm.pages["private"]
        assert (512 if thread else 0) == vm.phases[1].counters["freed_zeroed_pages"]
    assert 512 == frames[", zero_thread: 200MiB/s"] - frames[""]


def test_a_thread_goes_no_faster_than_it_is_told() -> None:
    """4 MiB/s are 1,024 pages a second: 40 in the 40 ms that are left."""
    balloon = "balloon: {poll: 1ms, schedule: [{at: 5ms, target: 2MiB}, {at: 20ms, target: 0B}]}, zero_thread: 4MiB/s"
    zeroed = run(balloon, run="duration: 60ms").vms[0].phases[1].counters["freed_zeroed_pages"]
    assert 39 <= zeroed <= 41


def test_a_page_that_was_taken_again_is_not_zeroed() -> None:
    """Pages that are unmapped and mapped again at once leave the thread nothing but what is free at its time."""
    events = "{kind: munmap, every: 100, pages: 50}"
    vm = run("zero_thread: 200MiB/s", events=events).vms[0]
    assert 0 < vm.phases[1].counters["freed_zeroed_pages"] < 1000
    assert vm.pages["private"] < 300


def test_a_kernel_grows_with_the_memory_that_its_guest_was_given() -> None:
    """64 KiB and 2 % of 2,048 pages: 16 + 40."""
    vm = run("", kernel="{base: 64KiB, per_memory: 2%}").vms[0]
    assert 56 == vm.pages["guest_kernel"]


def test_a_preset_sets_what_the_vm_does_not_say() -> None:
    """Windows zeroes, Linux does not; what the VM says itself stands."""
    windows, linux, own = (
        loads(FRAME.format(mmu=MODES[0], more=more, run="accesses: 1", host="64MiB", paging="", events="",
                           kernel="1MiB")).vms[0]
        for more in ("guest: windows", "guest: linux", "guest: windows, zero_thread: 1MiB/s, boot: {}")
    )  # fmt: skip
    assert (400 << 20, 20 << 20) == (windows.boot.zeroes, windows.zero_thread)  # type: ignore[union-attr]
    assert (None, 0, 256) == (linux.boot, linux.zero_thread, linux.kernel_pages)
    assert (None, 1 << 20) == (own.boot, own.zero_thread)
