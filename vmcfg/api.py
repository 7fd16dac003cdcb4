"""The way from a scenario to its tables, for Python: what the commands do, without printing:

    experiment = vmcfg.load("scenario.yaml", sets=["mmu.mode=native"])
    outcome = experiment.run()
    outcome.tables["vms"]           # a sequence of dicts; shows itself as a table, also in notebooks
    outcome.tables["vms"].column("cycles_per_access")

Nothing is simulated before `run`, and nothing heavy is imported before it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vmcfg import scenario as front
from vmcfg.errors import RunFailed
from vmcfg.metrics import checks
from vmcfg.metrics.result import RunResult
from vmcfg.plan import Plan, compile_plan, limits
from vmcfg.plan.model import HostPlan, VmPlan
from vmcfg.scenario.spec import Scenario
from vmcfg.tables import Table, build, claims, comparison, names_of

if TYPE_CHECKING:
    from vmcfg.tables.claims import Judged
    from vmcfg.tables.formats import Report

Progress = Callable[[float, str], None]  # fraction done, host


class Outcome:
    """What a run left behind: `tables` by name, the `digest` of the experiment, and the plain `result`.

    `variants` are the outcomes of a comparison, by value. `error` is the one with which the run was expected to fail,
    and did; there is no result then.
    """

    def __init__(
        self,
        plan: Plan,
        result: RunResult,
        variants: Mapping[str, Outcome] | None = None,
        error: RunFailed | None = None,
    ):
        self.plan = plan
        self.result = result
        self.variants = variants or {}
        self.error = error

    @property
    def scenario(self) -> Scenario:
        return self.plan.scenario

    @property
    def digest(self) -> str:
        """Names the experiment, not its results: the resolved scenario, its inputs, the engine's semantics."""
        return self.plan.digest

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Every table there is; `tables:` in the scenario only picks what is printed and kept as golden."""
        tables = {} if self.error else self._measured
        return {**tables, claims.NAME: claims.table(self.claims)} if self.claims else tables

    @cached_property
    def claims(self) -> tuple[Judged, ...]:
        """What came of each claim of the scenario; every one is judged, whatever is printed."""
        expected = self.scenario.expected_error
        if expected is None:
            return tuple(claims.judge(self.scenario.claims, self._measured))
        place = self.scenario.origins["expect.error"].where
        return (claims.judge_error(expected, self.error.code if self.error else None, place),)

    @property
    def failed_claims(self) -> tuple[Judged, ...]:
        return tuple(judged for judged in self.claims if judged.verdict == claims.FAILED)

    @cached_property
    def _measured(self) -> dict[str, Table]:
        tables = build(self.scenario, self.result)
        if self.variants:
            compared = {name: (variant.scenario, variant.result) for name, variant in self.variants.items()}
            tables[comparison.NAME] = comparison.table(compared)
        return tables

    def report(self, tables: Sequence[str] = ()) -> Report:
        """Return the tables named, or those that the scenario asks for, ready to be written in any format."""
        from vmcfg.tables.formats import Report

        always = (name for name in (*self.scenario.tables, comparison.NAME, claims.NAME) if name in self.tables)
        chosen = tuple(self.tables[name] for name in tables or always)
        return Report(self.scenario.name, self.scenario.metadata.title, self.digest, chosen)

    def __repr__(self) -> str:
        tables = "\n\n".join(repr(table) for table in self.report().tables)
        return f"{self.scenario.name}: {self.scenario.metadata.title}\n\n{tables}"

    def _repr_html_(self) -> str:
        return "".join(table._repr_html_() for table in self.report().tables)


class Experiment:
    """A checked scenario, to be planned and run."""

    def __init__(self, scenario: Scenario):
        self.scenario = scenario

    def plan(self) -> Plan:
        """Return the compiled pipeline: sizes, stages, parameters and upper bounds. Runs nothing."""
        return self._plan

    def plans(self) -> list[Plan]:
        """Return all plans that a run simulates, each once: the scenario's own, and those of its variants."""
        return list({plan.digest: plan for plan in (self._plan, *self._variants.values())}.values())

    def tables(self) -> list[str]:
        """Return the names of the tables that a run will have."""
        is_measured = self.scenario.expected_error is None
        names = names_of(self.scenario) + [comparison.NAME] * (self.scenario.comparison is not None)
        return names * is_measured + [claims.NAME] * bool(self.scenario.claims or not is_measured)

    def run(
        self,
        *,
        progress: Progress | None = None,
        check_invariants: bool = False,
        limit_bytes: int | None = None,
        limit_touches: int = limits.MOST_TOUCHES,
    ) -> Outcome:
        """Simulate, and check the sums that tie the counters together; then judge what the scenario claims.

        `limit_bytes` (default: 75 % of the machine's memory) and `limit_touches` bound what each plan may come to
        need; a run that may exceed them is refused before it starts. One in which time only passes, because it waits
        for disks or next to nothing happens, ends at a limit derived from `limit_touches`. Raises RunFailed, unless
        the scenario expects that very error.
        """
        limit_bytes = limits.default_bytes() if limit_bytes is None else limit_bytes
        for plan in self.plans():
            limits.refuse_above(plan, limit_bytes, limit_touches)
        try:
            results = self._simulate(progress, check_invariants, limit_bytes, limit_touches)
        except RunFailed as error:
            expected = self.scenario.expected_error
            if expected is None or expected.code != error.code:
                raise
            return Outcome(self._plan, RunResult((), (), 0.0), error=error)
        variants = {name: Outcome(plan, results[plan.digest]) for name, plan in self._variants.items()}
        return Outcome(self._plan, results[self._plan.digest], variants)

    def _simulate(
        self, progress: Progress | None, check_invariants: bool, limit_bytes: int, limit_touches: int
    ) -> dict[str, RunResult]:
        """Run each plan once; results by digest."""
        from vmcfg.engine import simulate

        plans = self.plans()
        results: dict[str, RunResult] = {}
        for number, plan in enumerate(plans):
            moved = _part(progress, number, len(plans)) if progress else None
            result = simulate(
                plan,
                progress=moved,
                check_invariants=check_invariants,
                limit_bytes=limit_bytes,
                limit_touches=limit_touches,
            )
            checks.check(result, rates(plan))
            results[plan.digest] = result
        return results

    @cached_property
    def _plan(self) -> Plan:
        return compile_plan(self.scenario)

    @cached_property
    def _variants(self) -> dict[str, Plan]:
        compared = self.scenario.comparison
        return {name: compile_plan(variant) for name, variant in compared.variants} if compared else {}

    def __repr__(self) -> str:
        return f"<vmcfg scenario {self.scenario.name}: {self.scenario.metadata.title}>"


def load(path: Path | str, sets: Sequence[str] = (), compare: str | None = None) -> Experiment:
    """Load and check a scenario file; `compare` is for instance `mmu.mode=native,nested`. Raises InvalidScenario."""
    return Experiment(front.load(path, sets, compare))


def rates(plan: Plan) -> dict[str, checks.Rates]:
    """Return what the checks of a run multiply its counters with, by VM."""
    return {vm.vm.name: _rates(host, vm) for host in plan.hosts for vm in host.vms}


def _part(progress: Progress, number: int, parts: int) -> Progress:
    """Move a bar through its n-th part."""
    return lambda share, host: progress((number + share) / parts, host)


def _rates(host: HostPlan, vm: VmPlan) -> checks.Rates:
    per_touch = [phase.per_touch for phase in host.phases[vm.first_phase : vm.first_phase + vm.phases]]
    return checks.Rates(host.costs, host.walkers, vm.vm.vcpus, host.cores, (per_touch[0], *per_touch), host.latencies)
