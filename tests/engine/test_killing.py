"""A guest that is out of memory ends a process: whom, when and what comes free as sets of pages say, in all modes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import examples
from oracle.streams import stream_key, touch_word

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.metrics.result import VmResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

SHADOW = tuple(f"{{mode: shadow, shadow: {{variant: {each}}}}}" for each in ("virtual_tlb", "cached", "unsync"))
MODES = ("{mode: nested}", *SHADOW, "{mode: native}", "{mode: paravirt}", "{mode: software_tlb}")
FRAME = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Out of memory}}
seed: {seed}
run: {{accesses: {accesses}, epoch: 2ms, slice: 100us}}
hosts:
  h:
    memory: 32MiB
    cores: 2
    cpu: haswell
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s, seek: 0s}}}}
vms:
  a: {{memory: {memory}, kernel_memory: 16KiB, workload: w, {more}}}
workloads:
  w:
    processes: {processes}
    max_processes: {most}
    phases: [{{pattern: {{kind: uniform, size: {size}}}, write: 40%, events: [{events}]}}]
"""
LEVELS = 4
FIRST_VPN = 0x400
EVENTS = (
    "{kind: fork, every: 301}", "{kind: exit, every: 407}", "{kind: exec, every: 1511}",
    "{kind: munmap, every: 211, pages: 9}", "{kind: mmap, every: 301, pages: 20}",
    "{kind: mprotect, every: 403, pages: 5, to: read}",
)  # fmt: skip


USUAL = {
    "seed": 1, "accesses": 4000, "mmu": MODES[0], "memory": "2MiB", "more": "oom: kill",
    "processes": 3, "most": 3, "size": "1MiB", "events": "{kind: context_switch, every: 100}",
}  # fmt: skip


def run(host: str = "32MiB", **settings: object) -> VmResult:
    """Run one guest with all invariants checked at each epoch's end."""
    text = FRAME.format(**{**USUAL, **settings}).replace("memory: 32MiB", f"memory: {host}")
    return simulate(compile_plan(loads(text)), check_invariants=True).vms[0]


class Guest:
    """Processes as sets of pages; page tables as sets of what they cover."""

    def __init__(self, pages: int, processes: int):
        self.free = pages - 4 - processes  # its kernel, and roots
        self.mapped: list[set[int]] = [set() for _ in range(processes)]
        self.tables: list[set[tuple[int, int]]] = [set() for _ in range(processes)]
        self.is_live = [True] * processes
        self.kills: list[tuple[int, int]] = []

    def touch(self, process: int, vpn: int) -> bool:
        """Map a page if there is room for it and its tables; tell whether it is mapped now."""
        if vpn in self.mapped[process]:
            return True
        missing = {(level, vpn >> 9 * level) for level in range(1, LEVELS)} - self.tables[process]
        if 1 + len(missing) > self.free:
            return False
        self.free -= 1 + len(missing)
        self.tables[process] |= missing
        self.mapped[process].add(vpn)
        return True

    def kill(self) -> None:
        """End the largest living process, the first of equal ones; the last one keeps its root."""
        living = [number for number, is_live in enumerate(self.is_live) if is_live]
        victim = max(living, key=lambda number: (len(self.mapped[number]), -number))
        freed = len(self.mapped[victim]) + len(self.tables[victim]) + (len(living) > 1)
        self.free += freed
        self.is_live[victim] = False
        self.kills.append((victim + 1, freed))


def expected(seed: int, accesses: int, memory: int, size: int, processes: int, every: int) -> tuple[Guest, int]:
    """Play one vCPU's touches on a guest of sets; return it, and how many touches were made."""
    guest, loaded, key = Guest(memory, processes), 0, stream_key(seed, "a/0")

    def following(process: int) -> int:
        others = [(process + step) % processes for step in range(1, processes + 1)]
        return next((other for other in others if guest.is_live[other]), process)

    for touch in range(accesses):
        vpn = FIRST_VPN + (touch_word(key, touch, 0) * size >> 64)
        while not guest.touch(loaded, vpn):
            guest.kill()
            if not any(guest.is_live):
                return guest, touch
            if not guest.is_live[loaded]:
                loaded = following(loaded)
        if (touch + 1) % every == 0:
            loaded = following(loaded)
    return guest, accesses


@given(st.sampled_from(MODES), st.integers(1, 999), st.integers(30, 420), st.integers(16, 256), st.integers(2, 5))
@examples(40)
def test_whom_when_and_how_much_is_what_sets_say(mmu: str, seed: int, memory: int, size: int, processes: int) -> None:
    """The victim holds most pages, its pages, tables and root come free, and the touch is tried again by the next."""
    every, size = 37, min(size, memory)
    guest, touches = expected(seed, 2000, memory, size, processes, every)
    events = f"{{kind: context_switch, every: {every}}}"
    pages = {"memory": f"{4 * memory}KiB", "size": f"{4 * size}KiB"}
    found = run(mmu=mmu, seed=seed, accesses=2000, processes=processes, most=processes, events=events, **pages)
    assert guest.kills == [(kill.process, kill.freed_pages) for kill in found.kills]
    assert (guest.free, touches) == (found.pages["guest_free"], found.phases[1].counters["touches"])
    assert {"workload"} >= {kill.asked_by for kill in found.kills}


@pytest.mark.parametrize("mmu", MODES)
def test_the_last_process_takes_the_work_with_it(mmu: str) -> None:
    """One process that needs more than there is: one kill, and no touch after it, by no vCPU."""
    found = run(mmu=mmu, processes=1, most=1, events="", size="2MiB", more="vcpus: 3, oom: kill")
    assert 1 == len(found.kills)
    assert 507 == found.kills[0].freed_pages  # 512 pages less the kernel's 4 and the root, which stays
    assert found.phases[1].counters["touches"] < 3 * 4000


@pytest.mark.parametrize("mmu", MODES[:4])
def test_every_vcpu_leaves_a_killed_process(mmu: str) -> None:
    """Three vCPUs run two processes; they all go on with the one that is left, and make all their touches."""
    found = run(mmu=mmu, processes=2, most=2, events="", size="1.5MiB", more="vcpus: 3, oom: kill")
    assert 1 == len(found.kills)
    assert 12_000 == found.phases[1].counters["touches"]


@pytest.mark.parametrize("mmu", MODES)
def test_nothing_is_lost_when_processes_come_and_go_and_are_killed(mmu: str) -> None:
    """Forks, exits, mappings and unmappings in a guest that is always short; invariants at each epoch's end."""
    kills = 0
    for seed in range(3):
        events = ", ".join(["{kind: context_switch, every: 97}", *Random(seed).sample(EVENTS[2:], 2), *EVENTS[:2]])
        kills += len(run(mmu=mmu, seed=seed, most=5, size="1200KiB", events=events).kills)
    assert kills > 3


def test_a_full_swap_area_ends_in_a_kill() -> None:
    """No kill while the area has room; its slots come free with the process."""
    small = run(more="swap: {size: 256KiB}, oom: kill", size="1MiB")
    large = run(more="swap: {size: 4MiB}, oom: kill", size="1MiB")
    assert [] == list(large.kills)
    assert 1 == len(small.kills)
    assert small.phases[1].counters["guest_page_outs"] >= 64


def test_a_driver_asks_its_kernel_as_any_program_does() -> None:
    """More than is free, no swap: a process goes, and the balloon gets its pages, to the page."""
    balloon = "oom: kill, balloon: {poll: 500us, max: 90%, schedule: [{at: 2ms, target: 1228KiB}]}"
    found = run(more=balloon, size="512KiB", processes=2, most=2, accesses=200_000)
    assert [("balloon", 307)] == [(kill.asked_by, found.pages["balloon"]) for kill in found.kills]
    assert 200_000 == found.phases[1].counters["touches"]


@pytest.mark.parametrize("mode", SHADOW)
def test_a_kill_waits_for_frames_that_are_on_their_way(mode: str) -> None:
    """Who is loaded instead may need some under shadow paging: a host that writes them out first lets the vCPU wait."""
    paging = "swap: {size: 4MiB}\n    reclaim: {paging: {victim: fifo, batch: 1}}"
    small = {"accesses": 600, "memory": "600KiB", "size": "500KiB", "processes": 2, "most": 2}
    found = run(host="480KiB", mmu=f"{mode}\n    {paging}", **small)
    assert 1 == len(found.kills)
    assert 600 == found.phases[1].counters["touches"]


def test_without_leave_to_kill_a_run_fails() -> None:
    """The default is the error, which names the guest."""
    with pytest.raises(RunFailed) as raised:
        run(more="")
    assert "out_of_guest_pages" == raised.value.code
