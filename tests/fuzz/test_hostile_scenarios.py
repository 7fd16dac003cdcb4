"""Whatever stands in a scenario, validate, plan and run end with an exit code, an explanation, and within bounds.

The gate runs the same examples each time; VMCFG_FUZZ=10000 runs that many new ones.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mutate
import pytest
from hypothesis import currently_in_test_context, event, given, settings
from hypothesis import strategies as st
from verdicts import FAILED, FINE, INVALID, SCENARIOS, Server, whatever_happens_is_explained

MORE = os.environ.get("VMCFG_FUZZ")
GOOD = [path.read_text("utf-8") for path in SCENARIOS]
EXAMPLES = settings(max_examples=int(MORE or 100))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the scenario and its inputs lie; the next example overwrites them."""
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "trace").write_bytes(mutate.TRACES["records"])
    (folder / "guest").write_bytes(mutate.TRACES["guest_physical"])
    (folder / "pages").write_bytes(mutate.words(mutate.PAGES))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    yield server
    server.close()


def judge(server: Server, folder: Path, text: str) -> list[int]:
    (folder / "mutant.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    codes = whatever_happens_is_explained(server, folder, "mutant.yaml")
    if currently_in_test_context():
        event(f"run ends with exit code {codes[-1]}")  # pytest --hypothesis-show-statistics tells how many of each
    return codes


@pytest.mark.slow
def test_the_unmutated_scenarios_run(server: Server, folder: Path) -> None:
    """Otherwise the mutated ones would prove little."""
    assert [[FINE] * 3] * len(GOOD) == [judge(server, folder, text) for text in GOOD]


@pytest.mark.slow
def test_mutated_trees(server: Server, folder: Path) -> None:
    """Good YAML with odd values: a good part of it runs."""
    seen: Counter[int] = Counter()

    @EXAMPLES
    @given(mutate.trees(GOOD))
    def explained(text: str) -> None:
        seen.update(judge(server, folder, text)[-1:])

    explained()
    assert min(seen[FINE], seen[INVALID]) > seen.total() // 20, seen


@pytest.mark.slow
def test_mutated_texts(server: Server, folder: Path) -> None:
    """Mostly no YAML, or none that the schema knows."""

    @EXAMPLES
    @given(mutate.texts(GOOD))
    def explained(text: str) -> None:
        judge(server, folder, text)

    explained()


@pytest.mark.slow
def test_mutated_traces(server: Server, folder: Path, tmp_path: Path) -> None:
    """Bytes of every format, packed or not, broken before or after packing; sometimes named as another format."""
    text = (Path(__file__).parent / "scenarios" / "trace.yaml").read_text("utf-8")
    seen: Counter[int] = Counter()

    @EXAMPLES
    @given(mutate.traces(), st.booleans())
    def explained(mutant: tuple[str, bytes, bytes], is_mapped: bool) -> None:
        kind, contents, pages = mutant
        (tmp_path / "trace").write_bytes(contents)
        (tmp_path / "pages").write_bytes(pages)
        own = text.replace("format: records", f"format: {kind}")
        own = own if kind == "records" and is_mapped else own.replace(", vpn: pages", "")
        seen.update(judge(server, tmp_path, own)[-1:])

    explained()
    assert seen[FINE] > 0
    assert seen[FAILED] + seen[INVALID] > 0
