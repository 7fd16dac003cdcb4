"""The benchmark says what it has measured: every row beside its yardsticks, and peers only with equal counts.

Nothing here is timed. Rows are cut to some thousand touches, so that figures mean nothing and everything is run.
"""

from __future__ import annotations

import re
from types import ModuleType

import numpy as np
import pytest
from attrs import evolve

from vmcfg.bench import measure, peers, replacement_peer, tlb_peer, yardsticks
from vmcfg.bench.rows import FEATURES, ROWS, scenario_text
from vmcfg.cli.main import main
from vmcfg.engine.build import is_lean
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

FIGURE = re.compile(r"-?\d+(\.\d+)?")


@pytest.fixture(autouse=True)
def _is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ROWS", tuple(evolve(row, touches=3000) for row in ROWS))
    monkeypatch.setattr(measure, "YARDSTICK_ITEMS", 1000)
    monkeypatch.setattr(tlb_peer, "ACCESSES", 20_000)
    for name, value in {"ACCESSES": 20_000, "PAGES": 5_000, "CAPACITY": 500}.items():
        monkeypatch.setattr(replacement_peer, name, value)


def test_every_row_stands_beside_its_yardsticks(capsys: pytest.CaptureFixture[str]) -> None:
    """As Markdown, for the README: a line for each row, each with a figure in every column."""
    assert 0 == main(["bench", "--rounds", "1", "--format", "markdown"])
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in capsys.readouterr().out.splitlines()]
    name_to_cells = {cells[0]: cells[1:] for cells in lines}
    for row in ROWS:
        assert all(FIGURE.match(cell) for cell in name_to_cells[row.name]), row.name
        assert f"{row.to_reach:.0f}" == name_to_cells[row.name][1]
    for feature in FEATURES:
        assert FIGURE.match(name_to_cells[feature][0]), feature


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.MODULE)
def test_peers_count_the_same(peer: ModuleType) -> None:
    """On hot and cold pages in three geometries, or in three policies: a ratio of times means something only then."""
    pytest.importorskip(peer.MODULE)
    found = list(peer.races())
    assert found
    assert [race.peer_misses for race in found] == [race.misses for race in found]
    assert all(race.misses > 1000 for race in found)


def test_without_peers_bench_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And measures the rest."""
    monkeypatch.setattr(peers, "races", lambda: iter(()))
    monkeypatch.setattr(measure, "measure_rows", lambda rounds, report: [])
    monkeypatch.setattr(measure, "measure_features", lambda rounds, report: {})
    assert 0 == main(["bench", "--rounds", "1"])
    assert capsys.readouterr().out.endswith("no peers installed: pip install 'vmcfg[bench]'\n")


def test_features_that_are_off_are_not_compiled_in() -> None:
    """The stream without any runs in the lean loop, with a log, large pages or a nested TLB for data in the other."""
    row = next(row for row in ROWS if row.name == "nested misses over 4 GiB")
    hosts = {name: compile_plan(loads(scenario_text(row), sets=sets)).hosts[0] for name, sets in FEATURES.items()}
    assert is_lean(compile_plan(loads(scenario_text(row))).hosts[0])
    assert ["a host that pages, and is not short", "a balloon"] == [name for name in hosts if is_lean(hosts[name])]


def test_a_machine_takes_the_bytes_per_page_that_are_promised() -> None:
    """At most 24 per guest page, under shadow paging 36, by the plan of 64 VMs of 4 GiB, nearly all of it mapped."""
    found = {mode: measure.bytes_per_page(mode) for mode in measure.MOST_BYTES}
    assert [] == [mode for mode, most in measure.MOST_BYTES.items() if not 8 < found[mode] <= most]


def test_a_start_is_timed_in_a_fresh_process() -> None:
    """A process that sleeps takes at least as long."""
    assert measure.start_up_seconds(["-c", "import time; time.sleep(0.2)"], 1) >= 0.2


def test_the_gather_reads_what_the_places_name() -> None:
    """A sum of the table's items, each as often as it is named."""
    assert 1 + 4 + 4 == yardsticks.gather(np.array([1, 2, 4]), np.array([0, 2, 2]))
    table, places = yardsticks.gather_inputs(800, 50)
    assert (100, 50) == (len(table), yardsticks.gather(table, places))
