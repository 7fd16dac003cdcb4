"""At the end of a run the engine's memory is the oracle's: every frame, every entry, every A and D bit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from machines import Case, cases, examples
from naive_draws import scatter_with, zipf_rank
from oracle import OracleResult
from oracle import run as run_oracle
from running import machines_of, run_to_the_end

from vmcfg.plan.model import HostPlan
from vmcfg.vmm import machine as at

Leaves = dict[tuple[int, int], tuple[int, bool, bool]]  # (level, page >> 9·(level - 1)) -> frame, A, D


@pytest.mark.slow
def test_the_engine_leaves_the_memory_that_the_oracle_leaves(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Which page has which frame follows from the order of everything that took one."""

    @given(cases(tmp_path_factory.mktemp("traces")))
    @examples(60)
    def same(case: Case) -> None:
        oracle = run_oracle(case.scenario, case.traces, zipf_rank, scatter_with(case.scenario.seed))
        for host, machine in machines_of(case.scenario):
            run_to_the_end(host, machine)
            assert oracle.clocks[host.name] == machine.core[:, at.CLOCK].tolist()
            for vm in range(len(host.vms)):
                compare(oracle, host, machine, vm)

    same()


def compare(oracle: OracleResult, host: HostPlan, machine: at.Machine, vm: int) -> None:
    """One VM: pmap, guest tables, and of the EPT the bits of its leaves and the frames of its tables."""
    name = host.vms[vm].vm.name
    assert oracle.pmap[name] == pmap(host, machine, vm)
    assert oracle.guest_entries[name] == dict(guest_entries(machine, vm))
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


def guest_entries(machine: at.Machine, process: int) -> Iterator[tuple[tuple[int, int], tuple[int, bool, bool]]]:
    """Yield every present entry of a process's tables, found from the root down."""
    waiting = [(int(machine.guests.vm[process, at.LEVELS]), 0, int(machine.guests.process[process, at.ROOT_TABLE]))]
    while waiting:
        level, prefix, table = waiting.pop()
        first = table * at.TABLE_ENTRIES
        for index, entry in enumerate(machine.guests.tables[first : first + at.TABLE_ENTRIES].tolist()):
            if entry & at.PRESENT:
                page = prefix << 9 | index
                yield (
                    (level, page),
                    (entry >> at.PPN_SHIFT & at.PPN_MASK, bool(entry & at.ACCESSED), bool(entry & at.DIRTY)),
                )
                if level > 1:
                    waiting.append((level - 1, page, entry >> at.CHILD_SHIFT))


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
