"""At the end of a run the engine's memory is the oracle's: every frame, every entry, every A and D bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from machines import Case, cases, examples
from naive_draws import scatter_with, zipf_rank
from oracle import OracleResult
from oracle import run as run_oracle
from oracle.result import Leaf
from running import machines_of, run_to_the_end
from stale import entries_below, roots, stale_entries, unaccounted_pages

from vmcfg.engine import loop
from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at

Leaves = dict[tuple[int, int], tuple[int, bool, bool]]  # (level, page >> 9·(level - 1)) -> frame, A, D
STEP = 40  # touches of a vCPU between two looks at the caches


@pytest.mark.slow
def test_the_engine_leaves_the_memory_that_the_oracle_leaves(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Which page has which frame follows from the order of everything that took one.

    On the way there no cache ever holds what the tables do not say, and no guest page is lost or has two uses.
    """

    @given(cases(tmp_path_factory.mktemp("traces")))
    @examples(60)
    def same(case: Case) -> None:
        oracle = run_oracle(case.scenario, case.traces, zipf_rank, scatter_with(case.scenario.seed))
        for host, machine in machines_of(case.scenario):
            for _ in stops(host, machine):
                assert [] == stale_entries(host, machine)
                assert [] == [page for vm in range(len(host.vms)) for page in unaccounted_pages(host, machine, vm)]
            assert oracle.clocks[host.name] == machine.core[:, at.CLOCK].tolist()
            for vm in range(len(host.vms)):
                compare(oracle, host, machine, vm)

    same()


def stops(host: HostPlan, machine: at.Machine) -> Iterator[None]:
    """Run to the end, and stop some times on the way, after so many touches of one vCPU or another."""
    for number in range(6):
        vcpu = number % max(1, len(host.vcpus))
        until = int(machine.vcpu[vcpu, at.RETIRED]) + STEP if host.vcpus else 0
        loop.run(machine, host.run_end, vcpu, until)
        yield
    run_to_the_end(host, machine)
    yield


def compare(oracle: OracleResult, host: HostPlan, machine: at.Machine, vm: int) -> None:
    """One VM: pmap, guest tables, and of the EPT the bits of its leaves and the frames of its tables."""
    name = host.vms[vm].vm.name
    assert oracle.pmap[name] == pmap(host, machine, vm)
    assert oracle.spaces[name] == spaces(machine, vm)
    assert oracle.sharers[name] == sharers(host, machine, vm)
    if host.mode == "nested":
        large, tables = host_entries(host, machine, vm)
        leaves = {where: entry for where, entry in oracle.host_entries[name].items() if where not in tables}
        assert leaves == {**host_leaves(host, machine, vm, large), **large}
        assert tables == {where: oracle.host_entries[name][where][0] for where in tables}


def pmap(host: HostPlan, machine: at.Machine, vm: int) -> dict[int, int]:
    """Return the frame of each backed page."""
    base, pages = host.vms[vm].base, host.vms[vm].vm.memory_pages
    entries = machine.host.pmap[base : base + pages].tolist()
    return {ppn: entry >> at.MPN_SHIFT for ppn, entry in enumerate(entries) if entry & at.KIND_MASK == at.PRIVATE}


def spaces(machine: at.Machine, vm: int) -> dict[tuple[int, int], dict[tuple[int, int], Leaf]]:
    """Return every present entry of a VM's tables, found from each root down: (ppn, A, D, W)."""
    return {
        root: {
            (level, page): (
                entry >> at.PPN_SHIFT & at.PPN_MASK,
                bool(entry & at.ACCESSED),
                bool(entry & at.DIRTY),
                bool(entry & at.WRITABLE),
            )
            for level, page, entry in entries_below(machine, vm, table)
        }
        for root, table, _ in roots(machine, vm)
    }


def sharers(host: HostPlan, machine: at.Machine, vm: int) -> dict[int, int]:
    """Return the mappings besides the first, of the pages that have any; of those of shared memory all."""
    base, pages = host.vms[vm].base, host.vms[vm].vm.memory_pages
    return {ppn: more for ppn, more in enumerate(machine.guests.sharers[base : base + pages].tolist()) if more}


def host_leaves(host: HostPlan, machine: at.Machine, vm: int, large: Leaves) -> Leaves:
    """Return the leaves of pages of 4 KiB: what the pmap has, without what lies in large pages."""
    base = host.vms[vm].base
    return {
        (1, ppn): (mpn, *marks(int(machine.host.pmap[base + ppn])))
        for ppn, mpn in pmap(host, machine, vm).items()
        if not any((level, ppn // 512 ** (level - 1)) in large for level in (2, 3))
    }


def host_entries(host: HostPlan, machine: at.Machine, vm: int) -> tuple[Leaves, dict[tuple[int, int], int]]:
    """Return the leaves of large pages, and the frames of the EPT's tables by the entries that lead to them.

    Of tables the frame + 1 is kept, 0 is absent; of a large page the marks, and the pmap has its frames.
    """
    pages = host.vms[vm].vm.memory_pages
    frames = pmap(host, machine, vm)
    large: Leaves = {}
    tables: dict[tuple[int, int], int] = {}
    for level, first in host.vms[vm].ept_offsets.items():
        entries = -(-pages // 512 ** (level - 1))
        for page, entry in enumerate(machine.host.ept[first : first + entries].tolist()):
            if entry < 0:
                large[level, page] = (frames[page * 512 ** (level - 1)], *marks(entry))
            elif entry:
                tables[level, page] = entry - 1
    return large, tables


def marks(entry: int) -> tuple[bool, bool]:
    """Return A and D, which have the same places in the pmap and in the EPT."""
    return bool(entry & at.HOST_ACCESSED), bool(entry & at.HOST_DIRTY)
