"""The engine and the naive oracle count the same, to the last one, on machines that nobody would configure."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from machines import Case, cases, examples
from naive_draws import scatter_with, zipf_rank
from oracle import OracleResult, tiny
from oracle import run as run_oracle
from oracle.result import EXITS
from oracle.spaces import Kill as OracleKill
from oracle.tiny import cache

from vmcfg.engine import simulate
from vmcfg.engine.lean import is_lean
from vmcfg.metrics.events import Event, Found, Sized
from vmcfg.metrics.result import Kill, RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario.spec import DataCache, DataCaches, GuestEvent, LargeTlbs, Promotion, ShadowPaging

Figures = dict[str, int]

OF_OTHER_MODES = tuple(Event(number) for number in range(Event.MMU_UPDATES, len(Event)))  # which are not drawn here

LINE = DataCaches(DataCache(64, 1, 2), None, None, 30)  # data caches of a single line
FAR = DataCaches(DataCache(64, 1, 2), None, DataCache(64 * 64, 4, 40), 400)  # little is near, and memory is far away


def of_oracle(case: Case) -> OracleResult:
    scenario = case.scenario
    return run_oracle(scenario, case.traces, zipf_rank, scatter_with(scenario.seed))


def figures_of_engine(result: RunResult) -> Figures:
    """Everything that tables are made of, by name."""
    return dict(_engine_figures(result))


def figures_of_oracle(case: Case, result: OracleResult) -> Figures:
    return dict(_oracle_figures(case, result))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traces")


def with_large_pages() -> Case:
    """Pages of 2 MiB on both sides, which random machines seldom unmap whole."""
    homes = LargeTlbs(l1_2m=cache(2), l1_1g=None, l2_2m=None, l2_1g=None)
    on = tiny.host(cpu=tiny.processor(large_tlbs=homes))
    on = evolve(on, mmu=evolve(on.mmu, page_size=2 << 20))
    unmapping = GuestEvent("munmap", 30, 1, region=0, pages=512)
    narrowing = GuestEvent("mprotect", 20, 1, region=0, pages=512, to="read")
    events = (unmapping, narrowing)
    runs = tiny.workload(tiny.phase("uniform", accesses=200, write_ppm=300_000, events=events), pages=600)
    vm = tiny.vm(memory_pages=8192, page_size=2 << 20)
    return Case(tiny.scenario(vm, on=evolve(on, memory_pages=20_000), runs=runs), {})


def with_pages_that_become_large() -> Case:
    """The same guest on small host pages: it maps and splits large pages, and both kernels put together small ones."""
    plain = with_large_pages().scenario
    mmu = evolve(plain.hosts[0].mmu, page_size=4 << 10, promotion=Promotion(40, 2, 511))
    kinds = {"munmap": (31, 600), "mmap": (32, 512), "mprotect": (12, 3)}
    events = [GuestEvent(kind, every, 1, region=0, pages=pages, to="read") for kind, (every, pages) in kinds.items()]
    part = GuestEvent("munmap", 13, 1, region=0, pages=3)
    collapsing = GuestEvent("collapse", 45, 1, region=0, ranges=1, max_absent=511)
    runs = plain.workloads[0]
    phase = evolve(runs.phases[0], events=(*events, part, collapsing))
    hosts = (evolve(plain.hosts[0], mmu=mmu),)
    return Case(evolve(plain, hosts=hosts, workloads=(evolve(runs, phases=(phase,)),)), {})


def with_forks() -> Case:
    """A process that forks and writes on: which random machines do copy on write depends on what else is imported."""
    forking = tiny.phase("uniform", accesses=200, write_ppm=300_000, events=(GuestEvent("fork", 31, 1),))
    runs = evolve(tiny.workload(forking, pages=40), processes=1, max_processes=8)
    return Case(tiny.scenario(tiny.vm(memory_pages=1000), on=tiny.host(memory_pages=3000), runs=runs), {})


def with_a_nested_tlb_for_its_tables() -> Case:
    """Four places in the nested TLB, for the four page tables of 40 pages: a data page would take one of these."""
    on = tiny.host(cpu=tiny.processor(nested_tlb=cache(4)))
    runs = tiny.workload(tiny.phase("uniform", accesses=200), pages=40)
    return Case(tiny.scenario(tiny.vm(), on=on, runs=runs), {})


def with_lean_caches(data_caches: DataCaches | None) -> Case:
    """Translation caches as most processors have them, for which there are loops of their own; few random ones are.

    A page lies in the block of 2 MiB of the table that leads to it, or not: there are three such tables. What one core
    finds in the last data cache depends on how far the other has come.
    """
    levels = {level: cache(2) for level in range(2, 5)}
    cpu = tiny.processor(l2_tlb=cache(8), guest_walk_caches=levels, host_walk_caches=levels, data_caches=data_caches)
    runs = tiny.workload(tiny.phase("uniform", accesses=2000, write_ppm=300_000), pages=1500)
    on = tiny.host(cpu=cpu, memory_pages=6000, cores=2)
    vms = [tiny.vm(name, memory_pages=2000) for name in ("a", "b")]
    case = Case(tiny.scenario(*vms, on=on, runs=runs), {})
    assert is_lean(compile_plan(case.scenario).hosts[0])
    return case


@pytest.mark.slow
def test_the_engine_counts_what_the_oracle_counts(folder: Path) -> None:
    """Counters, exits, times, pages and frames are equal, and each event happens somewhere in the examples."""
    seen: Counter[str] = Counter()

    def compare(case: Case) -> None:
        engine = figures_of_engine(simulate(compile_plan(case.scenario), check_invariants=True, jobs=1))
        oracle = figures_of_oracle(case, of_oracle(case))
        assert {} == differences(oracle, engine)
        seen.update(name.rsplit(" ", 1)[-1] for name, figure in oracle.items() if figure)

    compare(with_forks())
    compare(with_lean_caches(None))
    compare(with_lean_caches(FAR))
    compare(with_a_nested_tlb_for_its_tables())
    compare(with_large_pages())
    compare(with_pages_that_become_large())
    for focus, count in {"": 120, "kernels": 40, "large": 40}.items():
        examples(count)(given(cases(folder, focus=focus))(compare))()
    if "VMCFG_EXAMPLES" not in os.environ:  # fewer examples than the gate's need not show everything
        never = (*OF_OTHER_MODES, Sized.BACKED_1G, Sized.MAPPED_1G, Sized.FILLED_1G)  # no machine here has a GiB
        events = [event for event in (*Event, *Found, *Sized) if event not in never]
        assert [] == [event.name for event in events if not seen[event.name.lower()]]


@pytest.mark.slow
def test_shadow_tables_are_kept_as_the_oracle_keeps_them(folder: Path) -> None:
    """The same in mode shadow; at each epoch the VMM's tables say what the guests' do, in all three variants."""
    seen: Counter[str] = Counter()

    def is_equal(case: Case) -> None:
        engine = figures_of_engine(simulate(compile_plan(case.scenario), check_invariants=True, jobs=1))
        oracle = figures_of_oracle(case, of_oracle(case))
        assert {} == differences(oracle, engine)
        seen.update(name.rsplit(" ", 1)[-1] for name, figure in oracle.items() if figure)

    for variant in ("virtual_tlb", "cached", "unsync"):
        is_equal(in_one_loop(under_shadow(with_large_pages(), variant)))
        is_equal(in_one_loop(under_shadow(with_pages_that_become_large(), variant)))
    for focus, count in {"": 60, "large": 40}.items():
        examples(count)(given(cases(folder, ("shadow",), focus).map(in_one_loop))(is_equal))()
    if "VMCFG_EXAMPLES" not in os.environ:
        sized = ("filled_2m", "filled_splintered", "guest_splits", "large_unmapped", "collapsed", "promoted")
        assert [] == [name for name in (*EXITS["shadow"], *sized) if not seen[name]]


def under_shadow(case: Case, variant: str) -> Case:
    shadow = ShadowPaging(variant, False, False, 0, 3)
    hosts = tuple(evolve(host, mmu=evolve(host.mmu, mode="shadow", shadow=shadow)) for host in case.scenario.hosts)
    return case._replace(scenario=evolve(case.scenario, hosts=hosts))


def in_one_loop(case: Case) -> Case:
    """The case with data caches and a TLB for fetches on each host: one specialised loop to compile, not four.

    Epochs are long, for what is checked at their ends takes longer than what is simulated.
    """
    hosts = tuple(
        evolve(
            host, cpu=evolve(host.cpu, l1_itlb=host.cpu.l1_itlb or cache(3), data_caches=host.cpu.data_caches or LINE)
        )
        for host in case.scenario.hosts
    )
    run = evolve(case.scenario.run, epoch_ns=case.scenario.run.epoch_ns * 16)
    return case._replace(scenario=evolve(case.scenario, hosts=hosts, run=run))


def differences(oracle: Figures, engine: Figures) -> dict[str, tuple[int | None, int | None]]:
    """Which figures differ: (the oracle's, the engine's)."""
    names = oracle.keys() | engine.keys()
    return {
        name: (oracle.get(name), engine.get(name)) for name in sorted(names) if oracle.get(name) != engine.get(name)
    }


def _engine_figures(result: RunResult) -> Iterator[tuple[str, int]]:
    for vm in result.vms:
        yield from ((f"{vm.name} pages {name}", figure) for name, figure in vm.pages.items())
        yield from _kills(vm.name, vm.kills)
        for phase in vm.phases:
            row = f"{vm.name} {phase.phase}"
            yield from ((f"{row} {name}", figure) for name, figure in phase.counters.items())
            yield f"{row} elapsed", phase.elapsed_cycles
            for reason, (count, cycles) in phase.exits.items():
                yield f"{row} exits {reason}", count
                yield f"{row} cycles {reason}", cycles
    for host in result.hosts:
        yield from ((f"{host.name} frames {name}", figure) for name, figure in host.frames.items())


def _kills(vm: str, kills: Iterable[Kill | OracleKill]) -> Iterator[tuple[str, int]]:
    for number, kill in enumerate(kills):
        for name in ("cycles", "process", "freed_pages"):
            yield f"{vm} kill {number} for the {kill.asked_by}: {name}", getattr(kill, name)


def _oracle_figures(case: Case, result: OracleResult) -> Iterator[tuple[str, int]]:
    for vm in case.scenario.vms:
        yield from ((f"{vm.name} pages {name}", figure) for name, figure in result.pages[vm.name].items())
        yield from _kills(vm.name, result.kills[vm.name])
        for number, counters in enumerate(result.counters[vm.name]):
            row = f"{vm.name} {number}"
            yield from ((f"{row} {name}", figure) for name, figure in counters.items())
            yield f"{row} elapsed", result.elapsed[vm.name][number]
            for reason, (count, cycles) in result.exits[vm.name][number].items():
                yield f"{row} exits {reason}", count
                yield f"{row} cycles {reason}", cycles
    for host in {vm.host: 0 for vm in case.scenario.vms}:
        yield from ((f"{host} frames {name}", figure) for name, figure in result.frames[host].items())
