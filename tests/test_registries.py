"""What comes in kinds: for each, the places where a new one must stand. A failing test here is the recipe for it.

A kind is found wherever it has begun: by its file, its line in the registry, its word in the schema. What it lacks
elsewhere is then said by name, in the order in which one would do it; docs/architecture.md tells the same as prose.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
from fuzz import mutate
from sources import PACKAGE, functions

from vmcfg.engine.work import KINDS
from vmcfg.golden.project import find
from vmcfg.golden.selection import select
from vmcfg.hardware import sets
from vmcfg.hardware.assoc import POLICIES
from vmcfg.metrics.events import MODE_EXITS
from vmcfg.mmu.walks import MODES, WALKS_AS
from vmcfg.scenario import schema
from vmcfg.scenario.spec import CacheShape, Mixture, Pattern, Scenario, Trace
from vmcfg.workload import fields
from vmcfg.workload.traces import FORMATS, SETS

ROOT = PACKAGE.parent
PROJECT = find((), ROOT)


class Among:
    """Names that stand among others which mean something else: a kind can be there, but does not begin there."""

    def __init__(self, names: Iterable[str]):
        self.names = frozenset(names)

    def __contains__(self, name: object) -> bool:
        return name in self.names


# What there is to do → the names for which it is done.
Places = Mapping[str, Container[str]]


def mmu_modes() -> Places:
    return {
        "the file vmcfg/mmu/{}.py, with an essay and a walk, or an update of tables": files("mmu", "walk", "update"),
        "its number in MODES in vmcfg/mmu/walks.py": MODES,
        "its branch in walk in vmcfg/engine/access.py, or its line in WALKS_AS in vmcfg/mmu/walks.py": Among(
            callees("engine/access.py", "walk").names | {name for name in MODES if MODES[name] in WALKS_AS}
        ),
        "its exits in MODE_EXITS in vmcfg/metrics/events.py": MODE_EXITS,
        "its name in the enum of mode in schemas/mmu.schema.json": enum("mmu", "mode"),
        "its name under mode in VALUES in tests/fuzz/mutate.py": Among(mutate.VALUES["mode"]),
        **shipped(lambda scenario: {host.mmu.mode for host in scenario.hosts}),
    }


def patterns() -> Places:
    mixture = {"mixture"}  # has no rank but chooses among those that have: a branch of `generate` in place of a line
    return {
        "the file vmcfg/workload/patterns/{}.py, with an essay and a rank": files(
            "workload/patterns", "rank", "choose"
        ),
        "its number, named in capitals, in vmcfg/workload/fields.py": Among(map(str.lower, vars(fields))),
        "its line in KINDS in vmcfg/engine/work.py": KINDS.keys() | mixture,
        "its branch in _page in vmcfg/workload/generate.py": Among(
            callees("workload/generate.py", "_page").names | mixture
        ),
        "its name in the enum of kind in schemas/pattern.schema.json": enum("pattern", "kind"),
        "its parameters in $defs of schemas/pattern.schema.json": Among(schema.load("pattern")["$defs"]),
        "the obvious loop in tests/oracle/streams.py": words("tests/oracle/streams.py"),
        "its name under kind in VALUES in tests/fuzz/mutate.py": Among(mutate.VALUES["kind"]),
        **shipped(lambda scenario: {pattern.kind for pattern in _patterns(scenario)}),
    }


def trace_formats() -> Places:
    return {
        "the file vmcfg/workload/traces/{}.py, with a generator accesses, or epochs": files(
            "workload/traces", "accesses", "epochs"
        ),
        "its line in FORMATS, or SETS, in vmcfg/workload/traces/__init__.py": FORMATS | SETS,
        "its name in the enum of format in schemas/trace.schema.json": enum("trace", "format"),
        "a small trace in TRACES in tests/fuzz/mutate.py": mutate.TRACES,
        "its name under format in VALUES in tests/fuzz/mutate.py": Among(mutate.VALUES["format"]),
        **shipped(lambda scenario: {trace.format for trace in _traces(scenario)}),
    }


def replacement_policies() -> Places:
    """One policy of the language may be served by several files, by the number of ways."""
    modules = files("hardware", "replace")
    numbered = {number: name.lower() for name, number in vars(sets).items() if name.lower() in modules}
    served = {name: {numbered.get(number, "?") for _, number in fits} for name, fits in POLICIES.items()}
    idle = modules - {module for each in served.values() for module in each}
    switches = [callees("hardware/assoc.py", name).names for name in ("touch", "_replace", "_empty", "_clear")]
    return {
        "its file in vmcfg/hardware/ with the four verbs, named as its number is in sets.py": idle
        | {name for name, each in served.items() if each <= modules},
        "its line in POLICIES in vmcfg/hardware/assoc.py": POLICIES,
        "its branches in the switches at the end of vmcfg/hardware/assoc.py": Among(
            name for name, each in served.items() if all(each <= switch for switch in switches)
        ),
        "its name in the enum of policy in schemas/cpu.schema.json": set(
            schema.load("cpu")["$defs"]["cache"]["properties"]["policy"]["enum"]
        ),
        "a naive cache, chosen in cache_of in tests/oracle/caches.py": words("tests/oracle/caches.py"),
        "its name under policy in VALUES in tests/fuzz/mutate.py": Among(mutate.VALUES["policy"]),
        **shipped(lambda scenario: {cache.policy for cache in _caches(scenario)}),
    }


REGISTRIES: dict[str, Callable[[], Places]] = {
    "MMU mode": mmu_modes,
    "pattern": patterns,
    "trace format": trace_formats,
    "replacement policy": replacement_policies,
}


def recipe(kind: str, places: Places) -> list[str]:
    """What is left to do for each name that has begun somewhere."""
    names = {name for done in places.values() if isinstance(done, Iterable) for name in done}
    return [
        f"{kind} {name!r} lacks {todo.format(name)}"
        for name in sorted(names)
        for todo, done in places.items()
        if name not in done
    ]


@pytest.mark.parametrize("kind", REGISTRIES)
def test_nothing_is_half_there(kind: str) -> None:
    """File, line, branch, schema entry, oracle, scenario and golden: what is missing is named."""
    left = recipe(kind, REGISTRIES[kind]())
    assert not left, "\n".join(left)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_what_has_only_begun_is_told_all_the_rest(kind: str) -> None:
    """A word in the schema alone lacks everything else, in the order of the table."""
    places = dict(REGISTRIES[kind]())
    (entry,) = (todo for todo, done in places.items() if "in the enum of" in todo)
    places[entry] = {"made_up"} | set(places[entry])  # type: ignore[arg-type]
    expected = [f"{kind} 'made_up' lacks {todo.format('made_up')}" for todo in places if todo != entry]
    assert expected == about("made_up", recipe(kind, places))


def test_the_recipe_for_a_trace_format() -> None:
    """To be read as the reader of a failing gate will read it."""
    line = "its line in FORMATS, or SETS, in vmcfg/workload/traces/__init__.py"
    places = {**trace_formats(), line: {*FORMATS, *SETS, "made_up"}}
    assert [
        "trace format 'made_up' lacks the file vmcfg/workload/traces/made_up.py, with a generator accesses, or epochs",
        "trace format 'made_up' lacks its name in the enum of format in schemas/trace.schema.json",
        "trace format 'made_up' lacks a small trace in TRACES in tests/fuzz/mutate.py",
        "trace format 'made_up' lacks its name under format in VALUES in tests/fuzz/mutate.py",
        "trace format 'made_up' lacks a scenario in scenarios/ that shows it, named as a claim",
        "trace format 'made_up' lacks that scenario's golden, which `vmcfg accept` writes",
    ] == about("made_up", recipe("trace format", places))


def about(name: str, lines: list[str]) -> list[str]:
    return [line for line in lines if f" {name!r} " in line]


def files(folder: str, *doors: str) -> set[str]:
    """Return the modules of a folder of the package that define one of these functions."""
    return {
        path.stem
        for path in (PACKAGE / folder).glob("*.py")
        if {function.name for function in functions(ast.parse(path.read_text("utf-8")))} & set(doors)
    }


def callees(path: str, name: str) -> Among:
    """Return the modules whose functions a function of the package calls."""
    tree = ast.parse((PACKAGE / path).read_text("utf-8"))
    (function,) = (each for each in functions(tree) if each.name == name)
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return Among(
        call.value.id for call in calls if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name)
    )


def words(path: str) -> Among:
    """Return the words of a file, in small letters."""
    return Among(re.findall(r"\w+", (ROOT / path).read_text("utf-8").lower()))


def enum(schema_name: str, key: str) -> set[str]:
    """Return the values that a schema allows for a key."""
    return set(schema.load(schema_name)["properties"][key]["enum"])


def shipped(kinds_in: Callable[[Scenario], set[str]]) -> Places:
    """Return the two places that people see: a scenario, and what came of it."""
    kinds_by_path = {path: kinds_in(scenario) for path, scenario in _shipped().items()}
    kept = (kinds for path, kinds in kinds_by_path.items() if PROJECT.golden_of(path).is_file())
    return {
        "a scenario in scenarios/ that shows it, named as a claim": Among(set().union(*kinds_by_path.values())),
        "that scenario's golden, which `vmcfg accept` writes": Among(set().union(*kept)),
    }


@cache
def _shipped() -> dict[Path, Scenario]:
    return {candidate.path: candidate.experiment.scenario for candidate in select(PROJECT)}


def _patterns(scenario: Scenario) -> Iterator[Pattern]:
    for phase in (phase for workload in scenario.workloads for phase in workload.phases):
        if phase.pattern:
            yield phase.pattern
        if isinstance(phase.pattern, Mixture):
            yield from (part.pattern for part in phase.pattern.parts)


def _traces(scenario: Scenario) -> Iterator[Trace]:
    return (phase.trace for workload in scenario.workloads for phase in workload.phases if phase.trace)


def _caches(scenario: Scenario) -> Iterator[CacheShape]:
    for cpu in (host.cpu for host in scenario.hosts):
        single = (cpu.l1_tlb, cpu.l1_itlb, cpu.l2_tlb, cpu.nested_tlb)
        walk_caches = (*cpu.guest_walk_caches.values(), *cpu.host_walk_caches.values())
        yield from (cache for cache in (*single, *walk_caches) if cache)
