"""validate and plan: everything that can be said about a scenario without running it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Command = Callable[..., tuple[int, str, str]]


def test_validate_says_ok_for_each_file(vmcfg: Command, project: Path) -> None:
    """A folder means all scenarios in it, in order."""
    assert (0, "scenarios/more/native.yaml: ok\nscenarios/small.yaml: ok\n", "") == vmcfg("validate", "scenarios")


def test_validate_shows_the_faults_of_all_files(vmcfg: Command, project: Path) -> None:
    """One faulty file does not hide the faults of the next, nor that others are fine."""
    faulty = Path("scenarios/small.yaml").read_text().replace("memory: 2MiB", "memroy: 2MiB")
    for name in ("one.yaml", "two.yaml"):
        Path(name).write_text(faulty)
    code, out, err = vmcfg("validate", "one.yaml", "scenarios/small.yaml", "two.yaml")
    assert (3, "scenarios/small.yaml: ok\n") == (code, out)
    assert ["one.yaml:8:9: error", "two.yaml:8:9: error"] == [
        line[:19] for line in err.splitlines() if ": error: vms.web: found the unknown key" in line
    ]


def test_validate_applies_sets(vmcfg: Command, project: Path) -> None:
    """An edit on the command line is checked as if it stood in the file."""
    assert 0 == vmcfg("validate", "scenarios/small.yaml", "--set", "mmu.mode=native")[0]
    code, _, err = vmcfg("validate", "scenarios/small.yaml", "--set", "mmu.mode=nativ")
    assert (3, True) == (code, "--set" in err)


def test_validate_reads_standard_input(vmcfg: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash is what comes down the pipe."""
    text = Path("scenarios/small.yaml").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    assert (0, "-: ok\n", "") == vmcfg("validate", "-")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a: \xff")))
    code, _, err = vmcfg("validate", "-")
    assert (2, "vmcfg: error: standard input: found the byte 0xFF, expected UTF-8 text\n") == (code, err)


def test_a_folder_without_scenarios_is_no_success(vmcfg: Command, project: Path) -> None:
    """Nothing was checked, so nothing is fine."""
    Path("empty").mkdir()
    assert 5 == vmcfg("validate", "empty")[0]


def test_a_file_that_is_not_there_is_a_fault_with_its_name(vmcfg: Command, project: Path) -> None:
    """No traceback, no guess."""
    code, _, err = vmcfg("plan", "nowhere.yaml")
    assert 3 == code
    assert err.startswith("nowhere.yaml:1:1: error: found no readable file")


def test_a_plan_shows_stages_places_and_origins(vmcfg: Command, project: Path) -> None:
    """What happens in which order, how large everything is, and whose figure each is."""
    code, out, err = vmcfg("plan", "scenarios/small.yaml", "--set", "hosts.h.cpu.costs.exit=1000")
    assert (0, "") == (code, err)
    for line in (
        "host h",
        "  mode    nested, pages of 4KiB, tagged TLB",
        "  frames  2048 (8MiB); a TLB miss begins only with 20 of them free",
        "    each 260000     100us  slice: the cores run in order of index",
        "    after 2000      touches  end, of each vCPU by itself",
        "    host.pmap         i64   512",
        "    costs.exit               1000 cycles              --set hosts.h.cpu.costs.exit=1000",
        "    costs.access             4 cycles                 profile haswell",
        "  touches  2000",
    ):
        assert _squeezed(line) in [_squeezed(other)[: len(_squeezed(line))] for other in out.splitlines()], line


def test_a_plan_counts_only_figures_that_matter(vmcfg: Command, project: Path) -> None:
    """In mode native nothing exits and there is no host table: what they cost is not listed."""
    native = vmcfg("plan", "scenarios/more/native.yaml")[1]
    nested = vmcfg("plan", "scenarios/small.yaml")[1]
    assert "walk_caches.host.pde" in nested and "costs.ept_violation" in nested
    assert "walk_caches.host.pde" not in native and "costs.ept_violation" not in native
    assert "figures used in mode native" in native


def _squeezed(line: str) -> str:
    return " ".join(line.split())
