"""The table comparison: the same accesses in several settings, and when a slowdown may be given."""

from __future__ import annotations

from decimal import Decimal

import pytest
from made_results import ONE_PHASE, TWO_PHASES, idle_phase, phase, result, scenario, vm

from vmcfg.api import Experiment
from vmcfg.scenario import loads
from vmcfg.tables import comparison
from vmcfg.tables.table import Table

SMALL = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: A small one}
run: {accesses: 3000}
hosts:
  h: {memory: 16MiB, mmu: {mode: nested}}
vms:
  web: {memory: 4MiB, count: 2, workload: scan}
workloads:
  scan: {phases: [{pattern: {kind: uniform, size: 2MiB}}]}
tables: [vms]
compare: {mmu.mode: [native, nested]}
"""
BY_TIME = ONE_PHASE.replace("accesses: 1000}", "duration: 1ms}")
WARM_BY_TIME = ONE_PHASE.replace("accesses: 1000}", "accesses: 1000, warmup: 1ms}")
TIMED_PHASE = TWO_PHASES.replace("accesses: 10}", "duration: 1ms}")
TOTALS = {measure.name for measure in comparison.MEASURES if measure.is_total}


def made(text: str = ONE_PHASE, *names: str) -> Table:
    """`one` walks 40 times, each other variant 40 more: 80, 120, …"""
    last = 2 if text in (TWO_PHASES, TIMED_PHASE) else 1
    results = {
        name: result(vm(idle_phase(0), *(phase(each, walks=40 * number) for each in range(1, last + 1))))
        for number, name in enumerate(("one", *names), 1)
    }
    return comparison.table({name: (scenario(text), one) for name, one in results.items()})


def row(table: Table, measure: str, **where: int) -> dict[str, object]:
    return next(each for each in table if each["measure"] == measure and where.items() <= each.items())


def test_each_variant_has_a_column_and_the_second_a_slowdown() -> None:
    """80 walks are twice 40; what is a whole number is written as one."""
    table = made(ONE_PHASE, "two")
    assert ("vm", "measure", "one", "two", "slowdown") == table.columns
    assert {"vm": "web", "measure": "walks", "one": 40, "two": 80, "slowdown": Decimal("2.000")} == row(table, "walks")
    assert [measure.name for measure in comparison.MEASURES] == table.column("measure")


def test_more_variants_have_a_slowdown_each() -> None:
    """Against the first."""
    table = made(ONE_PHASE, "two", "three")
    assert ("slowdown_two", "slowdown_three") == table.columns[-2:]
    assert [Decimal("2.000"), Decimal("3.000")] == [row(table, "walks")[name] for name in table.columns[-2:]]


def test_a_slowdown_is_of_exact_figures() -> None:
    """120 references over 40 and over 120 walks: 3 and 1, a third; not the quotient of what is shown."""
    assert Decimal("0.333") == row(made(ONE_PHASE, "two", "three"), "refs_per_walk")["slowdown_three"]


def test_nothing_is_no_reference() -> None:
    """No guest fault in the first variant: there is no figure to divide by."""
    assert None is row(made(ONE_PHASE, "two"), "guest_faults")["slowdown"]


def test_phases_stand_apart() -> None:
    """A row for each, as in other tables."""
    table = made(TWO_PHASES, "two")
    assert ("vm", "phase", "measure") == table.columns[:3]
    assert 80 == row(table, "walks", phase=2)["two"]


@pytest.mark.parametrize("text", [BY_TIME, WARM_BY_TIME], ids=["run", "warm-up"])
def test_totals_of_work_that_ends_by_time_have_no_slowdown(text: str) -> None:
    """A slower variant does less of it; per access and per walk the figures can still be compared."""
    table = made(text, "two")
    has_none = {each["measure"] for each in table if each["slowdown"] is None}
    assert has_none >= TOTALS
    assert Decimal("1.000") == row(table, "cycles_per_access")["slowdown"]
    assert comparison.has_timed_work(scenario(text))


def test_only_the_phase_that_ends_by_time_is_refused() -> None:
    """The other one does the same work in all variants."""
    table = made(TIMED_PHASE, "two")
    assert (None, Decimal("2.000")) == tuple(row(table, "walks", phase=each)["slowdown"] for each in (1, 2))
    assert not comparison.has_timed_work(scenario(TWO_PHASES))


def test_a_vm_that_a_variant_lacks_has_no_figure_there() -> None:
    """With one VM and with two: the second VM's row has one figure, and no slowdown."""
    one, two = result(vm()), result(vm(), vm(name="db"))
    both = scenario(ONE_PHASE.replace("workloads:", "  db: {memory: 4MiB, workload: scan}\nworkloads:"))
    table = comparison.table({"one": (scenario(), one), "two": (both, two)})
    found = next(each for each in table if each["vm"] == "db" and each["measure"] == "walks")
    assert (None, 40, None) == (found["one"], found["two"], found["slowdown"])


def test_variants_draw_the_same_streams() -> None:
    """The TLBs miss on the same accesses whatever a miss costs; each variant is what it would be alone."""
    outcome = Experiment(loads(SMALL)).run()
    assert {"native", "nested"} == outcome.variants.keys()
    walks = next(each for each in outcome.tables["comparison"] if each["measure"] == "walks")
    assert walks["native"] == walks["nested"] > 0
    alone = Experiment(loads(SMALL, sets=["mmu.mode=native"])).run()
    assert alone.tables["vms"][0] == outcome.variants["native"].tables["vms"][0]
    assert alone.tables["vms"][1]["time_ns"] == outcome.tables["comparison"][len(comparison.MEASURES)]["native"]


def test_a_variant_that_is_the_scenario_itself_runs_once() -> None:
    """One plan for each different machine."""
    assert 2 == len(Experiment(loads(SMALL)).plans())
    assert 3 == len(Experiment(loads(SMALL, compare="hosts.h.cores=2,4")).plans())


def test_progress_goes_through_all_variants() -> None:
    """From 0 to 1 once, not once for each."""
    shares: list[float] = []
    Experiment(loads(SMALL)).run(progress=lambda share, _: shares.append(share))
    assert sorted(shares) == shares and 1.0 == shares[-1]


def test_a_comparison_is_shown_after_the_tables_that_are_asked_for() -> None:
    """Before the claims."""
    text = SMALL + "expect: [{table: comparison, where: {vm: web-1, measure: walks}, column: slowdown, value: 1}]\n"
    outcome = Experiment(loads(text)).run()
    assert ["vms", "comparison", "claims"] == [table.name for table in outcome.report().tables]
    assert ["holds"] == outcome.tables["claims"].column("verdict")
