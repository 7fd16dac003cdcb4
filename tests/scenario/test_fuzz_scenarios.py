"""Whatever is done to the text of a scenario, it loads or is refused with positions; nothing else may happen."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads

GOOD = Path(__file__).parent / "good"
TEXTS = [path.read_text("utf-8") for path in sorted(GOOD.glob("*.yaml"))]
WORDS = [
    "", "~", "null", "true", "no", "0", "-1", "1e3", ".nan", "9" * 30, "99999999999999999999TiB", "4KiB", "1ns", "10000h",
    "50%", "1/s", "all", "forever", "none", "[]", "{}", "[1, [2]]", "{a: b}", "&a x", "*a", "!!str x", "'", '"', "- ", ": ",
    "#", "\t", "---", "web", "web-1", "esx", "scan", "nested", "native", "zipf", "uniform", "kind", "count", "at_start", "é", "\u2028",
]  # fmt: skip
PATHS = ["seed", "run", "run.epoch", "run.duration", "cpu", "cpu.tlb", "cpu.tlb.l1.ways", "cpu.walk_caches", "mmu", "mmu.vpid", "hosts",
         "hosts.esx", "hosts.esx.memory", "vms", "vms.web", "vms.web.count", "vms.web-1.memory", "vms.web.workload", "workloads.scan",
         "workloads.scan.phases", "workloads.scan.phases.0", "workloads.scan.phases.0.pattern", "tables", "tables.0"]  # fmt: skip


def loads_or_is_refused(text: str, sets: list[str]) -> None:
    try:
        loads(text, directory=GOOD, sets=sets)
    except InvalidScenario as invalid:
        assert invalid.diagnostics
        for diagnostic in invalid.diagnostics:
            assert diagnostic.place.line >= 1 and diagnostic.place.column >= 1 and diagnostic.message


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A good scenario with a few stretches replaced, moved or repeated, at the edges of words more often than inside."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        edges = [0, *(index for index in range(1, len(text)) if text[index - 1].isalnum() != text[index].isalnum()), len(text)]
        start, end = sorted(draw(st.sampled_from(edges)) for _ in range(2))
        end = min(end, start + draw(st.integers(0, 40)))
        text = text[:start] + draw(st.sampled_from(WORDS) | st.just(text[start:end] * 2) | st.text(max_size=3)) + text[end:]
    return text


@settings(max_examples=300, deadline=None)
@given(mutated())
def test_mutated_scenarios_load_or_are_refused(text: str) -> None:
    """Never a traceback, and every refusal has a position."""
    loads_or_is_refused(text, [])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(WORDS) | st.text(max_size=6)), min_size=1, max_size=3))
def test_any_edits_load_or_are_refused(edits: list[tuple[str, str]]) -> None:
    """Whatever --set is given."""
    loads_or_is_refused(TEXTS[-1], [f"{path}={value}" for path, value in edits])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    """Also what is no YAML at all."""
    loads_or_is_refused(text, [])
