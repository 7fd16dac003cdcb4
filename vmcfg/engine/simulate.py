"""Plan → RunResult: each host is driven to its end (`engine.drive`), and at epochs looked at.

at each epoch: sample digests · check invariants · report progress
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from attrs import evolve, frozen

from vmcfg.digest import SUBSYSTEMS
from vmcfg.engine import loop
from vmcfg.engine.answers import EVENTS, FAULTS, GENERATE, WALKS
from vmcfg.engine.build import build
from vmcfg.engine.checkpoints import Checkpoints
from vmcfg.engine.collect import collect_host, collect_vms
from vmcfg.engine.drive import Drive
from vmcfg.engine.invariants import Checks
from vmcfg.engine.lean import is_lean
from vmcfg.engine.parallel import run_all, usable_cores
from vmcfg.engine.series import Series
from vmcfg.engine.touched import curve_result
from vmcfg.jit import is_compiled
from vmcfg.metrics.result import HostResult, RunResult, VmResult
from vmcfg.mmu.walks import MODES
from vmcfg.plan.limits import MOST_TOUCHES
from vmcfg.plan.model import UNLIMITED, HostPlan, Plan
from vmcfg.scenario.spec import Run
from vmcfg.vmm import machine as at
from vmcfg.workload.inputs import load_inputs

Progress = Callable[[float, str], None]
"""Called with the share of the whole run that is done, 0 … 1, and the name of the host at work."""


@frozen
class Limits:
    """What only a run itself comes to know: how much its traces hold, and how long its time gets."""

    trace_bytes: int | None
    steps: int


@frozen
class HostRun:
    """What one host leaves behind."""

    host: HostResult
    vms: tuple[VmResult, ...]


def simulate(
    plan: Plan,
    *,
    progress: Progress | None = None,
    check_invariants: bool = False,
    limit_bytes: int | None = None,
    limit_touches: int = MOST_TOUCHES,
    jobs: int | None = None,
) -> RunResult:
    """Run a plan to its end, with traces that fit into what the plan's bound leaves of `limit_bytes`.

    The plan bounds touches; what is done for time to pass ends the run at `limit_touches`: see `engine.drive`.
    Several hosts run in `jobs` processes at a time (default: as many as cores may be used), with the same result.

    Raises RunFailed: `out_of_frames`, `out_of_guest_pages`, `bad_trace`, `over_limit`; and AssertionError if
    `check_invariants` finds the machine broken at an epoch's end.
    """
    for_traces = None if limit_bytes is None else limit_bytes - plan.max_bytes
    limits = Limits(for_traces, limit_touches)
    started = time.perf_counter()
    shares = [0.0] * len(plan.hosts)

    def report(number: int, share: float) -> None:
        shares[number] = share
        if progress:
            progress(sum(shares) / len(shares), plan.hosts[number].name)

    numbers = range(len(plan.hosts))
    jobs = jobs or usable_cores()
    if min(jobs, len(plan.hosts)) > 1:
        tasks = [(plan, number, check_invariants, limits) for number in numbers]
        runs: list[HostRun] = run_all(tasks, jobs, report)
    else:
        runs = [simulate_host(plan, n, partial(report, n), check_invariants, limits) for n in numbers]
    vms = {vm.name: vm for run in runs for vm in run.vms}
    seconds = time.perf_counter() - started
    return RunResult(tuple(run.host for run in runs), tuple(vms[vm.name] for vm in plan.scenario.vms), seconds)


def simulate_host(
    plan: Plan, number: int, report: Callable[[float], None], check_invariants: bool, limits: Limits
) -> HostRun:
    """Run one host of a plan to its end; the hosts share nothing."""
    host = plan.hosts[number]
    machine, checkpoints, drive, series = _simulate_machine(plan, host, report, check_invariants, limits)
    vms = collect_vms(host, machine, drive.rounds, drive.kills)
    if series:
        vms = [evolve(vm, samples=samples) for vm, samples in zip(vms, series.end(), strict=True)]
    rate = plan.scenario.run.curve_ppm
    if rate:
        seed = plan.scenario.seed
        vms = [evolve(vm, curve=curve_result(host, machine, n, seed, rate)) for n, vm in enumerate(vms)]
    return HostRun(collect_host(host, machine, checkpoints.kept()), tuple(vms))


def needs_compiling(plan: Plan) -> bool:
    """Tell whether a run has to compile kernels first, which takes some ten seconds."""
    needed = {
        loop.LOOPS[loop.walks_as(MODES[host.mode]), is_lean(host), host.data_caches is not None] for host in plan.hosts
    }
    answers = {loop.ENTRIES[what] for what in (FAULTS, WALKS, GENERATE)}
    if any(phase.events for host in plan.hosts for phase in host.phases):
        answers.add(loop.ENTRIES[EVENTS])
    return not all(map(is_compiled, needed | answers))


def _simulate_machine(
    plan: Plan, host: HostPlan, report: Callable[[float], None], check_invariants: bool, limits: Limits
) -> tuple[at.Machine, Checkpoints, Drive, Series | None]:
    inputs = load_inputs(host.traces, limits.trace_bytes, host.reach_pages)
    machine = build(host, plan.scenario.seed, inputs)
    checkpoints = Checkpoints(SUBSYSTEMS)
    run = plan.scenario.run
    series = Series(host, machine) if run.sample_ns else None
    checks = Checks(host, machine) if check_invariants else None

    def at_epoch(is_last: bool = False) -> None:
        checkpoints.add(int(machine.sched[at.NOW]), machine)
        if checks:
            checks.at_epoch(is_last)
        report(_share_done(host, machine))

    drive = Drive(host, machine, [(run.epoch_ns, at_epoch), *_sampling(run, series)], limits.steps)
    drive.go()
    at_epoch(is_last=True)
    return machine, checkpoints, drive, series


def _sampling(run: Run, series: Series | None) -> list[tuple[int, Callable[[], object]]]:
    """Return what is to be done at which interval for a series, if there is one."""
    return [(run.sample_ns, series.add)] if run.sample_ns and series else []


def _share_done(host: HostPlan, machine: at.Machine) -> float:
    """Return how much of the run is done, for the progress bar only."""
    if host.run_end != UNLIMITED:
        return float(min(1.0, machine.sched[at.NOW] / host.run_end))
    ends = [vcpu.run_touches for vcpu in host.vcpus if vcpu.run_touches != UNLIMITED]
    return float(min(1.0, machine.vcpu[:, at.RETIRED].sum() / sum(ends))) if ends else 0.0
