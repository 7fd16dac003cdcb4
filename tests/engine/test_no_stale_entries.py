"""What guests narrow is flushed wherever it could still be used: on every core, at once or before it is used again."""

from __future__ import annotations

import pytest
from attrs import evolve
from oracle import tiny
from running import machines_of
from stale import stale_entries, unaccounted_pages

from vmcfg.engine import loop
from vmcfg.scenario.spec import GuestEvent, Mmu, Scenario
from vmcfg.vmm import machine as at

EVENTS = (
    GuestEvent("context_switch", 7, 1),
    GuestEvent("munmap", 5, 1, region=0, pages=2),
    GuestEvent("mprotect", 3, 1, region=0, pages=2, to="read"),
)


def scenario(cores: int, pcid: bool, kpti: bool) -> Scenario:
    """Three vCPUs switch among three processes on six pages, unmap and protect them; a TLB would hold them all."""
    cpu = tiny.processor(l1_tlb=tiny.cache(32), guest_walk_caches={2: tiny.cache(8), 3: tiny.cache(4)})
    on = tiny.host("native", cpu=cpu, cores=cores, mmu=Mmu("native", 4096, vpid=True, pcid=pcid))
    plain = tiny.workload(tiny.phase("uniform", accesses=300, write_ppm=300_000, events=EVENTS), pages=6)
    runs = evolve(plain, processes=3, max_processes=3)
    return tiny.scenario(tiny.vm_at_start(vcpus=3, kpti=kpti), on=on, runs=runs, run=tiny.timing(slice_ns=3000))


CASES = [(1, True, False), (2, True, False), (2, True, True), (3, False, False)]


@pytest.mark.parametrize(("cores", "pcid", "kpti"), CASES)
def test_no_vcpu_uses_what_another_has_narrowed(cores: int, pcid: bool, kpti: bool) -> None:
    """Also where two vCPUs share a core, and one loads a space whose entries are the other's, and marked nowhere."""
    [(host, machine)] = machines_of(scenario(cores, pcid, kpti))
    for turn in range(30):
        vcpu = turn % 3
        loop.run(machine, host.run_end, vcpu, int(machine.vcpu[vcpu, at.RETIRED]) + 10)
        assert [] == stale_entries(host, machine) + unaccounted_pages(host, machine, 0)
