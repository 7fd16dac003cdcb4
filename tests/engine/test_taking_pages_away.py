"""The VMM takes pages away between stretches of a run: what was taken faults once more, and nothing else does."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, NamedTuple

import numpy as np
from engine.processors import processors
from hypothesis import given
from hypothesis import strategies as st
from machines import examples
from oracle import tiny
from oracle.streams import stream_key, vpn_of_touch
from running import machines_of

from vmcfg.engine import loop
from vmcfg.engine.invariants import check_machine
from vmcfg.hardware import stores
from vmcfg.hardware.sets import SPACE_SHIFT
from vmcfg.jit import by_reference, entry
from vmcfg.metrics.events import EXIT_COUNT, Exit
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import Mmu, Scenario
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import invalidate, unback


@entry
def take_away(machine, vm, ppns):  # type: ignore[no-untyped-def]
    """Take the frames of some pages of a VM and invalidate once, as the verbs ask for; return the cycles."""
    m = by_reference(machine)
    for position in range(len(ppns)):
        unback(m, vm, ppns[position])
    return invalidate(m, vm)


class Round(NamedTuple):
    """Which vCPU retires how many touches, then how much of which VM is taken away (in percent), and by which dice."""

    vcpu: int
    touches: int
    vm: int
    share: int
    seed: int


@st.composite
def machines(draw: Any) -> Scenario:
    """Nested VMs that have mapped and backed all they use, by pages of any size: only what is taken away can fault."""
    hz = 1_000_000_000
    size, table_size = (draw(st.sampled_from((4 << 10, 4 << 10, 2 << 20, 1 << 30))) for _ in range(2))
    mmu = Mmu("nested", size, draw(st.booleans()), table_page_size=table_size)
    host = tiny.host(cpu=draw(processors(hz)), cores=draw(st.integers(1, 2)), mmu=mmu)
    pages = draw(st.integers(2, 200))
    phase = tiny.phase(draw(st.sampled_from(("uniform", "sequential"))), accesses=300, write_ppm=300_000)
    vms = [tiny.vm_at_start(name, vcpus=draw(st.integers(1, 2))) for name in "ab"[: draw(st.integers(1, 2))]]
    return tiny.scenario(
        *vms,
        on=host,
        runs=tiny.workload(phase, pages=pages),
        run=tiny.timing(slice_ns=2000),
    )


rounds = st.builds(
    Round, st.integers(0, 3), st.integers(1, 120), st.integers(0, 1), st.sampled_from((1, 10, 50, 100)), st.integers(0)
)


@given(machines(), st.lists(rounds, min_size=1, max_size=6))
@examples(60)
def test_exactly_the_touched_pages_fault_again(scenario: Scenario, plan: list[Round]) -> None:
    """A violation per page that was taken away and is touched, its tables too, counted by what the page holds."""
    [(host, machine)] = machines_of(scenario)
    missing: list[set[int]] = [set() for _ in host.vms]
    for number, step in enumerate([*plan, None]):
        before = violations(host, machine), retired(machine)
        loop.run(machine, host.run_end, *((step.vcpu % len(host.vcpus), until(machine, host, step)) if step else ()))
        touched = pages_touched(scenario, host, machine, before[1])
        expected = Counter(before[0])
        for vm in range(len(host.vms)):
            back = missing[vm] & set(touched[vm])
            expected.update((vm, touched[vm][ppn]) for ppn in back)
            missing[vm] -= back
        assert +expected == violations(host, machine), f"in round {number}"
        if step:
            vm = step.vm % len(host.vms)
            missing[vm] |= take_some_away(host, machine, vm, step)
        check_machine(host, machine)


def take_some_away(host: HostPlan, machine: at.Machine, vm: int, step: Round) -> set[int]:
    """Take away a share of what is backed; afterwards no cache of any core holds anything of that VM.

    Large pages are split for it: they become tables, which take frames, and the rest of them stays as it was.
    """
    first, pages = host.vms[vm].base, host.vms[vm].vm.memory_pages
    backed = np.flatnonzero(machine.host.pmap[first : first + pages] & at.KIND_MASK == at.PRIVATE)
    taken = Random(step.seed).sample(backed.tolist(), -(-len(backed) * step.share // 100))
    others = held(machine) - held_of(machine, vm)
    free, tables = (int(machine.host.counts[kind]) for kind in (at.FRAME_FREE, at.FRAME_OVERHEAD))
    rest = set(backed.tolist()) - set(taken)
    before = {ppn: mapping_of(host, machine, vm, ppn) for ppn in rest}
    cycles = take_away(machine, vm, np.array(taken, np.int64))
    assert cycles == host.costs["invept"] * host.cores
    assert free + len(taken) + tables == machine.host.counts[at.FRAME_FREE] + machine.host.counts[at.FRAME_OVERHEAD]
    assert before == {ppn: mapping_of(host, machine, vm, ppn) for ppn in rest}
    assert held(machine) == others
    return set(taken)


def mapping_of(host: HostPlan, machine: at.Machine, vm: int, ppn: int) -> tuple[int, int]:
    """Return the frame of a page, and the A and D of the leaf that maps it."""
    page = int(machine.host.pmap[host.vms[vm].base + ppn])
    offsets = host.vms[vm].ept_offsets
    above = [int(machine.host.ept[offsets[level] + (ppn >> 9 * (level - 1))]) for level in (2, 3) if level in offsets]
    leaf = next((entry for entry in above if entry < 0), page)
    return page >> at.MPN_SHIFT, leaf & (at.HOST_ACCESSED | at.HOST_DIRTY)


def until(machine: at.Machine, host: HostPlan, step: Round) -> int:
    return int(machine.vcpu[step.vcpu % len(host.vcpus), at.RETIRED]) + step.touches


def violations(host: HostPlan, machine: at.Machine) -> Counter[tuple[int, str]]:
    """By (vm, kind of page), over all of a VM's rows."""
    found: Counter[tuple[int, str]] = Counter()
    for number, vm in enumerate(host.vms):
        rows = machine.counters[vm.first_row : vm.first_row + vm.phases + 1]
        for reason, kind in ((Exit.EPT_VIOLATION_DATA, "data"), (Exit.EPT_VIOLATION_TABLE, "table")):
            found[number, kind] = int(rows[:, EXIT_COUNT + reason].sum())
    return +found


def retired(machine: at.Machine) -> list[int]:
    return [int(count) for count in machine.vcpu[:, at.RETIRED]]


def pages_touched(scenario: Scenario, host: HostPlan, machine: at.Machine, since: list[int]) -> list[dict[int, str]]:
    """By VM: each guest page on the way to what its vCPUs have touched since then, and what it holds."""
    workload = scenario.workloads[0]
    pattern = workload.phases[0].pattern
    assert pattern is not None
    touched: list[dict[int, str]] = [{} for _ in host.vms]
    for plan, first, last in zip(host.vcpus, since, retired(machine), strict=True):
        key = stream_key(scenario.seed, plan.name)
        for touch in range(first, last):
            vpn = vpn_of_touch(key, touch, touch, workload, pattern, None, None)
            touched[plan.vm] |= path_to(machine, plan.vm, vpn)
    return touched


def path_to(machine: at.Machine, process: int, vpn: int) -> dict[int, str]:
    """Return the guest pages that a walk for `vpn` needs: the tables from the root down, then the data."""
    path = {int(machine.guests.process[process, at.ROOT_PPN]): "table"}
    table = int(machine.guests.process[process, at.ROOT_TABLE])
    for level in range(int(machine.guests.vm[process, at.LEVELS]), 0, -1):
        entry = int(machine.guests.tables[table * at.TABLE_ENTRIES + (vpn >> 9 * (level - 1)) % at.TABLE_ENTRIES])
        path[entry >> at.PPN_SHIFT & at.PPN_MASK] = "table" if level > 1 else "data"
        table = entry >> at.CHILD_SHIFT
    return path


def held(machine: at.Machine) -> Counter[int]:
    """The tags that all caches of all cores hold."""
    caches = range(len(machine.stores.shape))
    return Counter(entry.tag for cache in caches for entry in stores.held(machine.stores, cache))


def held_of(machine: at.Machine, space: int) -> Counter[int]:
    return Counter({tag: count for tag, count in held(machine).items() if tag >> SPACE_SHIFT == space})
