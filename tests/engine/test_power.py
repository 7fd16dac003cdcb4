"""Guests that are powered off, and that reboot: nothing is left of the first, the others lose all but their frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmcfg.engine import simulate
from vmcfg.metrics.result import RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

VARIANTS = ("virtual_tlb", "cached", "unsync")
MODES = ("{mode: nested}", *(f"{{mode: shadow, shadow: {{variant: {each}}}}}" for each in VARIANTS))
FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Guests that go}}
seed: 1
run: {{{run}, epoch: 2ms}}
hosts:
  h:
    memory: {host}
    cores: {cores}
    cpu: {{profile: haswell, hz: 1000000000}}
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s, seek: 0s}}}}
    {paging}
vms:
  a: {{memory: {memory}, kernel_memory: 64KiB, workload: w, {more}}}
  {others}
workloads:
  w:
    max_processes: {processes}
    {regions}
    phases: [{{pattern: {{{pattern}}}, write: 50%, {phase}, events: [{events}]}}]
  quiet: {{phases: [{{pattern: {{kind: sequential, size: 256KiB}}, rate: 100k/s}}]}}
"""
SWAP = "\n    swap: {size: 16MiB}"
HOST_PAGING = f"reclaim: {{paging: {{victim: two_list}}}}{SWAP}"
COMPRESSION = f"reclaim: {{paging: {{victim: random}}, compression: {{max: 20%}}}}{SWAP}"
SEQUENTIAL, UNIFORM = "kind: sequential, size: 1MiB", "kind: uniform, size: 3MiB"
FILES = "files: {data: {size: 2MiB}}, reclaim: {keep_free: 128KiB}, page_cache: {flush_every: 1ms, flush_after: 3ms}"
READ = "{kind: read_file, file: data, every: 20, pages: 4}"
WRITE = "{kind: write_file, file: data, every: 50, pages: 2}"
USUAL = {
    "run": "accesses: 3000", "host": "64MiB", "cores": "1", "paging": "", "memory": "8MiB", "more": "", "others": "",
    "processes": "3", "regions": "", "pattern": SEQUENTIAL, "phase": "accesses_per_touch: 1",
}  # fmt: skip


def run(events: str, mmu: str = MODES[0], **changes: str) -> RunResult:
    """Run one guest, or more, with all invariants checked at each epoch's end."""
    text = FRAME.format(mmu=mmu, events=events, **{**USUAL, **changes})
    return simulate(compile_plan(loads(text)), check_invariants=True)


GUESTS = {
    "a plain one": {},
    "several processes": {"events": "{kind: fork, every: 100}, {kind: context_switch, every: 30}"},
    "system calls and two views": {
        "events": "{kind: syscall, every: 10, kernel_pages: 3}, {kind: fork, every: 500}", "more": "kpti: true",
    },
    "32 bits": {"more": "page_table: pae"},
    "two vCPUs": {"more": "vcpus: 2", "cores": "2"},
    "two vCPUs of one core": {"more": "vcpus: 2"},
    "large pages": {"more": "page_size: 2MiB", "events": "{kind: munmap, every: 90, pages: 16}"},
    "backed and mapped from the start": {"more": "backing: at_start, populate: at_start"},
    "paged out by its host": {"paging": HOST_PAGING, "host": "3MiB", "memory": "4MiB", "pattern": UNIFORM},
    "paging by itself": {
        "more": "swap: {size: 8MiB}, reclaim: {keep_free: 128KiB}", "memory": "2MiB", "pattern": UNIFORM,
    },
    "with a page cache": {
        "more": FILES, "events": f"{READ}, {WRITE}", "regions": "regions: {mapped: {size: 1MiB, file: data}}",
        "pattern": "kind: uniform, region: mapped",
    },
    "with a balloon": {"more": "balloon: {poll: 1ms, schedule: [{at: 1ms, target: 4MiB}]}", "phase": "rate: 200k/s"},
}  # fmt: skip
IN_NESTED = {
    "large pages in the host": ("{mode: nested, page_size: 2MiB}", {}),
    "host tables that are flat": ("{mode: nested, host_table: flat}", {}),
    "compressed by its host": ("{mode: nested}", {
        "paging": COMPRESSION, "host": "3MiB", "memory": "4MiB", "pattern": UNIFORM,
        "more": "compresses: {quarter: 40%, half: 40%}",
    }),
    "modified pages asked for": ("{mode: nested, dirty_log: {every: 1ms}}", {}),
}  # fmt: skip
CASES = {f"{guest}, {mode}": (mode, changes) for guest, changes in GUESTS.items() for mode in MODES} | IN_NESTED
CASES = {name: case for name, case in CASES.items() if not ("shadow" in name and name.startswith("32"))}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_left_of_a_guest_that_is_powered_off(case: str) -> None:
    """After 2,000 of 3,000 touches all of the host's memory is free again, and all of the guest's is unbacked."""
    mmu, changes = CASES[case]
    own = dict(changes)
    events = ", ".join([*filter(None, [own.pop("events", "")]), "{kind: power_off, every: 2000}"])
    result = run(events, mmu, **own)
    vm, frames = result.vms[0], result.hosts[0].frames
    reserved = frames["reserved"]  # what was on its way to the disk just then
    assert (frames["total"], 0, 0) == (frames["free"] + reserved, frames["private"], frames["overhead"])
    assert (vm.pages["configured"], 0) == (vm.pages["unbacked"], vm.pages["guest_tables"])
    assert 1 == vm.phases[1].exits["power"][0]
    assert 2000 <= vm.phases[1].counters["touches"] < 4000


@pytest.mark.parametrize("case", [case for case in CASES if not case.startswith("two")])
def test_a_guest_that_reboots_goes_on_with_its_workload(case: str) -> None:
    """Four times in 3,000 touches: all of these are made, by new processes, and nothing is counted twice or lost."""
    mmu, changes = CASES[case]
    own = dict(changes)
    events = own.pop("events", "").replace(", kernel_pages: 3", "")
    result = run(", ".join([*filter(None, [events]), "{kind: reboot, every: 700}"]), mmu, **own)
    vm = result.vms[0]
    assert (3000, 4) == (vm.phases[1].counters["touches"], vm.phases[1].exits["power"][0])
    assert vm.phases[1].counters["process_exits"] >= 4
    assert vm.pages["guest_tables"] > 0


@given(st.integers(1, 400), st.integers(1, 300), st.integers(1, 1500))
@settings(max_examples=25)
def test_each_boot_faults_anew_on_pages_whose_frames_are_still_there(every: int, pages: int, touches: int) -> None:
    """A guest hands out its pages in the same order again, so the host sees none that it has not seen before.

    Of each stretch between two boots: a fault for each page that it touches. Of the longest: a violation for each.
    """
    lengths = [every] * (touches // every) + [touches % every]
    result = run(
        f"{{kind: reboot, every: {every}}}", run=f"accesses: {touches}", memory="16MiB",
        pattern=f"kind: sequential, size: {4 * pages}KiB",
    )  # fmt: skip
    row = result.vms[0].phases[1]
    assert sum(min(pages, length) for length in lengths) == row.counters["guest_faults"]
    assert min(pages, max(lengths)) == row.exits["ept_violation_data"][0]
    assert touches // every == row.exits["power"][0]
    assert 4 == row.exits["ept_violation_table"][0]  # a root and three tables below it, in the first MiB of a region


BALLOON = "balloon: {poll: 1ms, schedule: [{at: 1ms, target: 4MiB}]}, boot: {duration: 2ms}"


@pytest.mark.parametrize(("milliseconds", "ballooned"), [("6.8", 1024), ("7.5", 0), ("8.9", 0), ("10.5", 1024)])
def test_a_reboot_takes_the_balloon_away_until_the_driver_is_back(milliseconds: str, ballooned: int) -> None:
    """The guest boots for 2 ms, then once more after 5: from 7 to 9 ms nobody answers, and its balloon is empty.

    The driver's next poll after that finds it with an empty balloon.
    """
    result = run("{kind: reboot, every: 5ms}", more=BALLOON, phase="rate: 200k/s", run=f"duration: {milliseconds}ms")
    assert (ballooned, ballooned) == (result.vms[0].pages["ballooned"], result.vms[0].pages["balloon"])
    assert int(milliseconds != "6.8") == result.vms[0].phases[1].counters["balloon_pops"]


@pytest.mark.parametrize("mmu", MODES)
def test_a_boot_takes_its_time(mmu: str) -> None:
    """Three reboots of 2 ms each, in which the vCPU waits and does nothing."""
    result = run("{kind: reboot, every: 900}", mmu, more="boot: {duration: 2ms}")
    assert 3 * 2_000_000 == result.vms[0].phases[1].counters["blocked_cycles"]


@pytest.mark.parametrize("kind", ["power_off", "reboot"])
@pytest.mark.parametrize("mmu", MODES)
def test_nobody_waits_for_what_a_guest_that_is_gone_has_read(mmu: str, kind: str) -> None:
    """The only read is asked for right before the event, after the same touch; it reads 28 pages ahead."""
    read = "{kind: read_file, file: data, every: 100, pages: 4}"
    row = run(f"{read}, {{kind: {kind}, every: 100}}", mmu, more=FILES, run="accesses: 150").vms[0].phases[1]
    assert (0, 32) == (row.counters["blocked_cycles"], row.counters["file_pages_read"])


@pytest.mark.parametrize("mmu", MODES)
def test_the_neighbours_of_a_guest_that_goes_go_on(mmu: str) -> None:
    """Three guests of two vCPUs on two cores; one goes after 5 ms, its other vCPU with it.

    The second then runs for a quantum of 10 ms, the third from 15 to 25, and the second from there to the end at 30 ms;
    each makes 100 touches per millisecond and vCPU from where it began.
    """
    result = run(
        "{kind: power_off, every: 5ms}", mmu, more="vcpus: 2", cores="2", phase="rate: 50k/s", run="duration: 30ms",
        others="b: {memory: 8MiB, vcpus: 2, workload: quiet}\n  c: {memory: 8MiB, vcpus: 2, workload: quiet}",
    )  # fmt: skip
    touches = [vm.phases[1].counters["touches"] for vm in result.vms]
    assert all(abs(found - due) <= 30 for found, due in zip(touches, (501, 5000, 2000), strict=True))
    private = [vm.pages["private"] for vm in result.vms]
    assert [0, 64 + 4, 64 + 4] == private


def test_the_driver_of_a_guest_that_is_off_hears_nothing() -> None:
    """It is gone after 0.5 ms, and its host asks it for 4 MiB from 1 ms on, while another guest runs."""
    result = run(
        "{kind: power_off, every: 500us}", phase="rate: 200k/s", run="duration: 5ms",
        more="balloon: {poll: 1ms, schedule: [{at: 1ms, target: 4MiB}]}", others="b: {memory: 8MiB, workload: quiet}",
    )  # fmt: skip
    assert (1, 0) == (result.vms[0].phases[1].exits["power"][0], result.vms[0].phases[1].counters["balloon_inflated"])


def test_power_comes_before_what_is_due_after_the_same_touch() -> None:
    """Events stand in the order in which they are written: a system call before it happens, one behind it does not."""
    calls = [
        run(events).vms[0].phases[1].counters["system_calls"]
        for events in (
            "{kind: syscall, every: 500}, {kind: power_off, every: 500}",
            "{kind: power_off, every: 500}, {kind: syscall, every: 500}",
        )
    ]
    assert [1, 0] == calls
