"""Whatever is done to the text of a scenario, it loads or is refused with positions; nothing else may happen.

The gate runs the same examples each time. VMCFG_FUZZ=100000 runs that many new ones of each kind.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads

MORE = os.environ.get("VMCFG_FUZZ")
EXAMPLES = settings(max_examples=int(MORE or 300), derandomize=MORE is None, database=None, deadline=None,
                    suppress_health_check=list(HealthCheck))  # fmt: skip
GOOD = Path(__file__).parent / "good"
TEXTS = [path.read_text("utf-8") for path in sorted(GOOD.glob("*.yaml"))]
WORDS = [
    "", "~", "null", "true", "no", "0", "-1", "1e3", ".nan", "9" * 30, "99999999999999999999TiB", "4KiB", "1ns",
    "10000h", "50%", "1/s", "all", "forever", "none", "[]", "{}", "[1, [2]]", "{a: b}", "&a x", "*a", "!!str x", "'",
    '"', "- ", ": ", "#", "\t", "---", "web", "web-1", "esx", "scan", "nested", "native", "zipf", "uniform", "kind",
    "count", "at_start", "é", "\u2028",
]  # fmt: skip
PATHS = [
    "seed", "run", "run.epoch", "run.duration", "cpu", "cpu.tlb", "cpu.tlb.l1.ways", "cpu.walk_caches", "mmu",
    "mmu.vpid", "hosts", "hosts.esx", "hosts.esx.memory", "vms", "vms.web", "vms.web.count", "vms.web-1.memory",
    "vms.web.workload", "workloads.scan", "workloads.scan.phases", "workloads.scan.phases.0",
    "workloads.scan.phases.0.pattern", "tables", "tables.0", "cpu.features", "metadata.tags",
]  # fmt: skip


def loads_or_is_refused(text: str, sets: list[str]) -> None:
    try:
        loads(text, directory=GOOD, sets=sets)
    except InvalidScenario as invalid:
        assert invalid.diagnostics
        for diagnostic in invalid.diagnostics:
            assert diagnostic.place.line >= 1 and diagnostic.place.column >= 1 and diagnostic.message


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A good scenario with a few stretches, cut at the edges of words, replaced, removed or repeated."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        edges = [at for at in range(1, len(text)) if text[at - 1].isalnum() != text[at].isalnum()]
        start, end = sorted(draw(st.sampled_from([0, *edges, len(text)])) for _ in range(2))
        end = min(end, start + draw(st.integers(0, 40)))
        new = draw(st.sampled_from(WORDS) | st.just(text[start:end] * 2) | st.text(max_size=3))
        text = text[:start] + new + text[end:]
    return text


@EXAMPLES
@given(mutated())
def test_mutated_scenarios_load_or_are_refused(text: str) -> None:
    """Never a traceback, and every refusal has a position."""
    loads_or_is_refused(text, [])


@EXAMPLES
@given(st.lists(st.tuples(st.sampled_from(PATHS), st.sampled_from(WORDS) | st.text(max_size=6)), max_size=3))
def test_any_edits_load_or_are_refused(edits: list[tuple[str, str]]) -> None:
    """Whatever --set is given."""
    loads_or_is_refused(TEXTS[-1], [f"{path}={value}" for path, value in edits])


@EXAMPLES
@given(st.text(max_size=200))
def test_any_text_is_refused(text: str) -> None:
    """Also what is no YAML at all."""
    loads_or_is_refused(text, [])
