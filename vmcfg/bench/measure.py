"""Measuring: rows and yardsticks take turns, round after round, and the median of each is reported.

Only the simulation is timed. Building the machine, populating tables and filling the TLBs come before.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from attrs import evolve, frozen

from vmcfg.bench import yardsticks
from vmcfg.bench.rows import FEATURES, ROWS, Row, scenario_text
from vmcfg.engine import loop
from vmcfg.engine.build import build
from vmcfg.engine.paging import allow
from vmcfg.engine.room import NEED_FRAMES, UNTIL
from vmcfg.metrics.events import EXIT_COUNT, EXITS, Event
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads
from vmcfg.vmm import machine as at
from vmcfg.workload.inputs import load_inputs

YARDSTICK_ITEMS = 2_000_000
MOST_BYTES = {"native": 24, "nested": 24, "shadow": 36}  # per guest page


@frozen
class Measured:
    """One row: seconds per touch or exit, and of each yardstick per item, medians over the rounds."""

    row: Row
    seconds: float
    gather_seconds: float
    draw_seconds: float

    @property
    def millions_per_second(self) -> float:
        return 1e-6 / self.seconds


def measure_rows(rounds: int, report: Callable[[str], None]) -> list[Measured]:
    """Time every row; each round times the row and both yardsticks one after the other."""
    return [_measure(row, rounds, report) for row in ROWS]


def measure_features(rounds: int, report: Callable[[str], None]) -> dict[str, float]:
    """Return for each feature how many times as long nested misses take with it as without any, side by side."""
    row = next(row for row in ROWS if row.mode == "nested" and row.footprint == "4GiB")
    ratios = {}
    for name, sets in FEATURES.items():
        report(name)
        plain, with_feature = _touches(row), _touches(row, sets)
        pairs = [(plain(), with_feature()) for _ in range(rounds + 1)][1:]
        ratios[name] = statistics.median(loaded / lean for lean, loaded in pairs)
    return ratios


def bytes_per_page(mode: str) -> float:
    """Return the bytes that 64 VMs of 4 GiB take per guest page, nearly all of it mapped, by their plan."""
    row = next(row for row in ROWS if row.mode == mode and row.footprint == "4GiB")
    text = scenario_text(evolve(row, footprint="4064MiB"))
    sets = ("hosts.bench.memory=264GiB", "vms.vm.memory=4GiB", "vms.vm.count=64")
    plan = compile_plan(loads(text, sets=sets))
    return plan.max_bytes / sum(vm.vm.memory_pages for vm in plan.hosts[0].vms)


def start_up_seconds(arguments: list[str], rounds: int) -> float:
    """Return the best wall time of a fresh `python ARGUMENTS`; the best, because only disturbances add.

    Python's own byte code is kept, as it is wherever the package is installed: the first round may have to make it.
    """
    return min(_wall([sys.executable, *arguments]) for _ in range(rounds))


def _measure(row: Row, rounds: int, report: Callable[[str], None]) -> Measured:
    report(row.name)
    sample = _exits(row) if row.counts_exits else _page_ins(row) if row.counts_page_ins else _touches(row)
    table, places = yardsticks.gather_inputs(row.tables_bytes, YARDSTICK_ITEMS)
    key = yardsticks.stream()
    samples = []
    for _ in range(rounds + 1):  # the first round compiles and warms up
        samples.append(
            (
                sample(),
                _timed(lambda: yardsticks.gather(table, places)) / YARDSTICK_ITEMS,
                _timed(lambda: yardsticks.draw_pass(key, YARDSTICK_ITEMS, key)) / YARDSTICK_ITEMS,
            )
        )
    medians = [statistics.median(column) for column in zip(*samples[1:], strict=True)]
    return Measured(row, *medians)


def _touches(row: Row, sets: Sequence[str] = ()) -> Callable[[], float]:
    """Return what times a round of a stream, and returns the seconds for a touch."""
    machine = _machine(row, sets)
    return lambda: _timed(lambda: _simulate(machine, row)) / row.touches


def _exits(row: Row) -> Callable[[], float]:
    """Return what times a round on a new machine, and returns the seconds for an exit."""

    def sample() -> float:
        machine = _machine(row)
        seconds = _timed(lambda: _simulate(machine, row))
        return seconds / int(machine.counters[:, EXIT_COUNT : EXIT_COUNT + EXITS].sum())

    return sample


def _page_ins(row: Row) -> Callable[[], float]:
    """Return what times a round of a stream, and returns the seconds for a page-in."""
    machine = _machine(row)

    def sample() -> float:
        before = int(machine.counters[:, Event.HOST_PAGE_INS].sum())
        seconds = _timed(lambda: _simulate(machine, row))
        return seconds / max(1, int(machine.counters[:, Event.HOST_PAGE_INS].sum()) - before)

    return sample


def _machine(row: Row, sets: Sequence[str] = ()) -> at.Machine:
    plan = compile_plan(loads(scenario_text(row), sets=sets))
    return build(plan.hosts[0], plan.scenario.seed, load_inputs([]))


def _simulate(machine: at.Machine, row: Row) -> None:
    until = int(machine.vcpu[0, at.RETIRED]) + row.touches
    runner = loop.Runner(machine)
    while (why := runner.run(at.UNLIMITED, 0, until)) == NEED_FRAMES and allow(machine):
        pass
    assert why == UNTIL


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _wall(command: list[str]) -> float:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return _timed(lambda: subprocess.run(command, check=True, capture_output=True, env=kept))
