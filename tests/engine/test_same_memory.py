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
    leaves = {page: entry for (level, page), entry in oracle.host_entries[name].items() if level == 1}
    tables = {where: entry[0] for where, entry in oracle.host_entries[name].items() if where[0] > 1}
    if host.mode == "nested":
        assert leaves == host_leaves(host, machine, vm)
        assert tables == host_tables(host, machine, vm)


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


def host_leaves(host: HostPlan, machine: at.Machine, vm: int) -> dict[int, tuple[int, bool, bool]]:
    base = host.vms[vm].base
    entries = {ppn: int(machine.host.pmap[base + ppn]) for ppn in pmap(host, machine, vm)}
    return {
        ppn: (mpn, bool(entries[ppn] & at.HOST_ACCESSED), bool(entries[ppn] & at.HOST_DIRTY))
        for ppn, mpn in pmap(host, machine, vm).items()
    }


def host_tables(host: HostPlan, machine: at.Machine, vm: int) -> dict[tuple[int, int], int]:
    """Return the frames of the EPT's tables by the entries that lead to them: kept as frame + 1, 0 is absent."""
    pages = host.vms[vm].vm.memory_pages
    found = {}
    for level, first in host.vms[vm].ept_offsets.items():
        entries = -(-pages // 512 ** (level - 1))
        frames = machine.host.ept[first : first + entries].tolist()
        found |= {(level, page): frame - 1 for page, frame in enumerate(frames) if frame}
    return found
