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
from vmcfg.metrics import checks
from vmcfg.metrics.result import RunResult
from vmcfg.plan import Plan, compile_plan, limits
from vmcfg.plan.model import HostPlan, VmPlan
from vmcfg.scenario.spec import Scenario
from vmcfg.tables import Table, build

if TYPE_CHECKING:
    from vmcfg.tables.formats import Report

Progress = Callable[[float, str], None]  # fraction done, host


class Outcome:
    """What a run left behind: `tables` by name, the `digest` of the experiment, and the plain `result`."""

    def __init__(self, plan: Plan, result: RunResult):
        self.plan = plan
        self.result = result

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
        return build(self.scenario, self.result)

    def report(self, tables: Sequence[str] = ()) -> Report:
        """Return the tables named, or those that the scenario asks for, ready to be written in any format."""
        from vmcfg.tables.formats import Report

        chosen = tuple(self.tables[name] for name in tables or self.scenario.tables)
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

    def run(
        self,
        *,
        progress: Progress | None = None,
        check_invariants: bool = False,
        limit_bytes: int | None = None,
        limit_touches: int = limits.MOST_TOUCHES,
    ) -> Outcome:
        """Simulate, and check the sums that tie the counters together.

        `limit_bytes` (default: 75 % of the machine's memory) and `limit_touches` bound what the plan may come to
        need; a run that may exceed them is refused before it starts. Raises RunFailed.
        """
        from vmcfg.engine import simulate

        limit_bytes = limits.default_bytes() if limit_bytes is None else limit_bytes
        limits.refuse_above(self._plan, limit_bytes, limit_touches)
        result = simulate(self._plan, progress=progress, check_invariants=check_invariants, limit_bytes=limit_bytes)
        checks.check(result, rates(self._plan))
        return Outcome(self._plan, result)

    @cached_property
    def _plan(self) -> Plan:
        return compile_plan(self.scenario)

    def __repr__(self) -> str:
        return f"<vmcfg scenario {self.scenario.name}: {self.scenario.metadata.title}>"


def load(path: Path | str, sets: Sequence[str] = ()) -> Experiment:
    """Load and check a scenario file. Raises InvalidScenario."""
    return Experiment(front.load(path, sets))


def rates(plan: Plan) -> dict[str, checks.Rates]:
    """Return what the checks of a run multiply its counters with, by VM."""
    return {vm.vm.name: _rates(host, vm) for host in plan.hosts for vm in host.vms}


def _rates(host: HostPlan, vm: VmPlan) -> checks.Rates:
    per_touch = [phase.per_touch for phase in host.phases[vm.first_phase : vm.first_phase + vm.phases]]
    return checks.Rates(host.costs, host.walkers, vm.vm.vcpus, (per_touch[0], *per_touch))
