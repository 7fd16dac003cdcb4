"""Table `comparison`: the same accesses under several settings, a column each, and how many times more each costs.

Totals can be compared only where all variants do the same work. A run or phase that ends by time does as much as it
can, so its totals get no slowdown; figures per access and per walk do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction

from attrs import frozen

from vmcfg.metrics.events import Event
from vmcfg.metrics.result import RunResult
from vmcfg.scenario.spec import Phase, Scenario
from vmcfg.tables.column import PHASES, Cell, Column, Ratio, ratio, ratio_text, text
from vmcfg.tables.subjects import PHASE, VM, VmPhase, vm_phases
from vmcfg.tables.table import Table

NAME = "comparison"
SLOWDOWN = "slowdown"
DECIMALS = 3
NANOSECONDS = 1_000_000_000
MEASURE_WIDTH = 24
ABSENT = Ratio(0, 0)


@frozen
class Measure:
    """What is compared of a VM's phase; a total depends on how much work was done."""

    name: str
    unit: str
    is_total: bool
    decimals: int
    definition: str
    read: Callable[[VmPhase], Ratio]


def _total(event: Event, unit: str, definition: str, name: str = "") -> Measure:
    key = event.name.lower()
    return Measure(name or key, unit, True, 0, definition, lambda row: Ratio(row[key], 1))


def _per(event: Event, count: Event, name: str, unit: str, definition: str) -> Measure:
    over, under = event.name.lower(), count.name.lower()
    return Measure(name, unit, False, DECIMALS, definition, lambda row: Ratio(row[over], row[under]))


MEASURES: tuple[Measure, ...] = (
    Measure("time_ns", "ns", True, 0, "Simulated time to the last retired access.",
            lambda row: Ratio(row.phase.elapsed_cycles * NANOSECONDS, row.vm.hz)),
    Measure("cycles_per_access", "cycles", False, DECIMALS, "All charged cycles per access.",
            lambda row: Ratio(row.charged_cycles, row["accesses"])),
    _per(Event.WALK_CHARGED_CYCLES, Event.ACCESSES, "walk_cycles_per_access", "cycles", "Of these, of page walks."),
    _per(Event.EXIT_CYCLES, Event.ACCESSES, "exit_cycles_per_access", "cycles", "Of these, of VM exits."),
    _total(Event.ACCESSES, "accesses", "Accesses retired."),
    _total(Event.WALKS, "walks", "Completed page walks of accesses that missed the TLBs."),
    _per(Event.WALK_REFS, Event.WALKS, "refs_per_walk", "references", "References per completed walk."),
    _per(Event.WALK_CYCLES, Event.WALKS, "cycles_per_walk", "cycles", "Cycles of all walks per completed walk."),
    _total(Event.GUEST_FAULTS, "faults", "Page faults that the guest's own kernel handled."),
    Measure("exits", "exits", True, 0, "VM exits, for whatever reason.",
            lambda row: Ratio(sum(count for count, _ in row.phase.exits.values()), 1)),
)  # fmt: skip


@frozen
class _Row:
    """One measure of one VM's phase, in the variants that have it."""

    vm: object
    phase: object
    measure: Measure
    figures: Mapping[str, Ratio]  # by variant
    has_slowdown: bool


DESCRIBED = (
    VM,
    PHASE,
    text("measure", f"What is compared: {', '.join(each.name for each in MEASURES)}.", lambda row: row.measure.name,
         MEASURE_WIDTH, is_key=True),
    ratio("<value>", "", DECIMALS, "The figure with this value; a column for each.", lambda row: ABSENT),
    ratio(SLOWDOWN, "", DECIMALS, "How many times the first variant's figure this one's is; none for totals of work "
          "that ends by time. Of more than two variants: slowdown_<value>.", lambda row: ABSENT),
)  # fmt: skip


def table(variants: Mapping[str, tuple[Scenario, RunResult]]) -> Table:
    """Return the comparison of variants by name; the first is what the others are measured against."""
    names = list(variants)
    has_phases = any(len(workload.phases) > 1 for scenario, _ in variants.values() for workload in scenario.workloads)
    columns = tuple(_columns(names, has_phases))
    rows = _rows(variants)
    return Table(NAME, columns, tuple(tuple(column.read(row) for column in columns) for row in rows))


def has_timed_work(scenario: Scenario) -> bool:
    """Tell whether time decides how much work is done anywhere, so that totals depend on the setting."""
    return any(
        _is_timed(scenario, vm.name, number)
        for vm in scenario.vms
        for number, _ in enumerate(_phases(scenario, vm.name), 1)
    )


def _columns(names: Sequence[str], has_phases: bool) -> Iterator[Column]:
    yield from (column for column in DESCRIBED if column.is_key and (has_phases or column.only_with != PHASES))
    for name in names:
        yield ratio(name, "", DECIMALS, f"The figure with the value {name}.", _variant(name))
    for name in names[1:]:
        head = SLOWDOWN if len(names) == 2 else f"{SLOWDOWN}_{name}"
        definition = f"How many times the figure of {names[0]} that of {name} is; none for totals of timed work."
        yield ratio(head, "", DECIMALS, definition, _slowdown(names[0], name))


def _variant(name: str) -> Callable[[_Row], Cell]:
    return lambda row: _cell(row.figures.get(name, ABSENT), row.measure)


def _cell(figure: Ratio, measure: Measure) -> Cell:
    """A figure without decimals is a whole number, whatever its column."""
    if not figure.denominator or measure.decimals:
        return figure
    return int(ratio_text(figure, 0))


def _slowdown(first: str, name: str) -> Callable[[_Row], Ratio]:
    def read(row: _Row) -> Ratio:
        base, figure = row.figures.get(first, ABSENT), row.figures.get(name, ABSENT)
        if not (row.has_slowdown and base.denominator and base.numerator and figure.denominator):
            return ABSENT
        exact = Fraction(figure.numerator, figure.denominator) / Fraction(base.numerator, base.denominator)
        return Ratio(exact.numerator, exact.denominator)

    return read


def _rows(variants: Mapping[str, tuple[Scenario, RunResult]]) -> Iterator[_Row]:
    """Rows by VM, phase and measure, in the order of the first variant that has them."""
    found: dict[tuple[str, int], dict[str, VmPhase]] = {}
    timed: set[tuple[str, int]] = set()
    for name, (scenario, result) in variants.items():
        for row in vm_phases(result):
            key = (row.vm.name, row.phase.phase)
            found.setdefault(key, {})[name] = row
            timed |= {key} if _is_timed(scenario, *key) else set()
    for key, rows in found.items():
        one = next(iter(rows.values()))
        for measure in MEASURES:
            figures = {name: measure.read(row) for name, row in rows.items()}
            yield _Row(one.vm, one.phase, measure, figures, not (measure.is_total and key in timed))


def _is_timed(scenario: Scenario, vm: str, phase: int) -> bool:
    run = scenario.run
    return bool(run.duration_ns or run.warmup_ns) or _phases(scenario, vm)[phase - 1].duration_ns is not None


def _phases(scenario: Scenario, vm: str) -> tuple[Phase, ...]:
    workload = next(each.workload for each in scenario.vms if each.name == vm)
    return next(each.phases for each in scenario.workloads if each.name == workload)
