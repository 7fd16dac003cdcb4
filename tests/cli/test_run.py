"""run: the same digits in every format, files whole or not at all, refusal before harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import vmcfg as package

Command = Callable[..., tuple[int, str, str]]


def test_run_prints_the_scenarios_tables(vmcfg: Command, project: Path) -> None:
    """Title, digest, and the tables that the scenario asks for, in order."""
    code, out, _ = vmcfg("run", "scenarios/small.yaml")
    lines = out.splitlines()
    assert (0, "small: A small one") == (code, lines[0])
    assert ["vms", "translation", "exits", "memory"] == [line for line in lines if line.isalpha()]


def test_json_csv_and_python_agree(vmcfg: Command, project: Path) -> None:
    """One run, one set of digits."""
    printed = json.loads(vmcfg("run", "scenarios/small.yaml", "--format", "json")[1])
    outcome = package.load("scenarios/small.yaml").run()
    assert (outcome.scenario.name, outcome.digest) == (printed["scenario"], printed["digest"])
    assert list(map(float, outcome.tables["vms"].column("cycles_per_access"))) == [  # type: ignore[arg-type]
        row["cycles_per_access"] for row in printed["tables"]["vms"]
    ]
    csv = vmcfg("run", "scenarios/small.yaml", "--format", "csv", "--tables", "vms")[1]
    assert ",".join(outcome.tables["vms"].texts()[0]) == csv.splitlines()[2]


def test_a_run_is_the_same_every_time(vmcfg: Command, project: Path) -> None:
    """Same scenario, same bytes."""
    first, second = (vmcfg("run", "scenarios/small.yaml", "--format", "json")[1] for _ in range(2))
    assert first == second


def test_tables_can_be_picked(vmcfg: Command, project: Path) -> None:
    """For looking, without another digest; an unknown name is a usage error that lists the known ones."""
    whole = json.loads(vmcfg("run", "scenarios/small.yaml", "--format", "json")[1])
    picked = json.loads(vmcfg("run", "scenarios/small.yaml", "--format", "json", "--tables", "time")[1])
    assert ["time"] == list(picked["tables"])
    assert whole["digest"] == picked["digest"]
    code, _, err = vmcfg("run", "scenarios/small.yaml", "--tables", "tome")
    assert (2, True) == (code, "expected one of vms, translation" in err)


def test_set_makes_another_experiment(vmcfg: Command, project: Path) -> None:
    """An edit changes the digest, as the same edit in the file would."""
    edited = json.loads(vmcfg("run", "scenarios/small.yaml", "--set", "mmu.mode=native", "--format", "json")[1])
    written = json.loads(vmcfg("run", "scenarios/more/native.yaml", "--format", "json")[1])
    assert "native" == edited["tables"]["vms"][0]["mode"]
    assert written["tables"] == edited["tables"]


@pytest.mark.parametrize(
    ("format_name", "names"),
    [
        ("csv", ["exits.csv", "memory.csv", "translation.csv", "vms.csv"]),
        ("json", ["small.json"]),
        ("markdown", ["small.md"]),
        ("table", ["small.txt"]),
    ],
)
def test_out_writes_files_and_says_which(vmcfg: Command, project: Path, format_name: str, names: list[str]) -> None:
    """Files as printed, in a folder that is made; nothing else is left there."""
    code, out, _ = vmcfg("run", "scenarios/small.yaml", "--format", format_name, "--out", "results/deep")
    assert (0, names) == (code, sorted(os.listdir("results/deep")))
    assert sorted(f"results/deep/{name}" for name in names) == sorted(out.splitlines())


def test_out_that_cannot_be_written_is_said(vmcfg: Command, project: Path) -> None:
    """A file in the way is named, with exit code 4."""
    Path("results").write_text("in the way")
    code, _, err = vmcfg("run", "scenarios/small.yaml", "--out", "results")
    assert 4 == code
    assert err.startswith("vmcfg: error: results: cannot be written:")


def test_a_run_above_its_limit_is_refused_before_it_starts(vmcfg: Command, project: Path) -> None:
    """Which bound, what it is made of, what to change."""
    code, out, err = vmcfg("run", "scenarios/small.yaml", "--limit", "16KiB")
    assert (4, "") == (code, out)
    lines = err.splitlines()
    assert lines[0].startswith("vmcfg: error: the run may come to use ")
    assert "the limit is 16KiB" in lines[0]
    assert "guests.tables of host h, entries of the guests' page tables" in err
    assert "give the VMs less memory or smaller regions, or allow more with --limit" == lines[-1]


def test_a_run_of_too_many_touches_is_refused(vmcfg: Command, project: Path) -> None:
    """Nobody waits for a year by a typing error."""
    code, _, err = vmcfg("run", "scenarios/small.yaml", "--set", "run.accesses=200G")
    assert 4 == code
    assert "200000000000 touches, the limit is 100000000000" in err
    assert 4 == vmcfg("run", "scenarios/small.yaml", "--limit-accesses", "1999")[0]
    assert 0 == vmcfg("run", "scenarios/small.yaml", "--limit-accesses", "2k")[0]


@pytest.mark.parametrize("text", ["64", "1GB", "-1KiB", "lots"])
def test_a_limit_needs_an_exact_unit(vmcfg: Command, project: Path, text: str) -> None:
    """The same units as in scenarios, and the same help with wrong ones."""
    code, _, err = vmcfg("run", "scenarios/small.yaml", f"--limit={text}")
    assert 2 == code
    assert f"argument --limit: found '{text}', expected a size" in err


def test_invariants_can_be_checked(vmcfg: Command, project: Path) -> None:
    """Checking changes no digit."""
    plain = vmcfg("run", "scenarios/small.yaml")
    assert plain[1] == vmcfg("run", "scenarios/small.yaml", "--check-invariants")[1]


def test_running_out_of_frames_is_a_failed_run(vmcfg: Command, project: Path) -> None:
    """Exit code 4 and a message that names the VM and what to change; no traceback."""
    code, _, err = vmcfg("run", "scenarios/small.yaml", "--set", "hosts.h.memory=512KiB")
    assert 4 == code
    assert err.startswith("vmcfg: error: vm web needs machine frames")


def test_a_shipped_scenario_runs_by_its_name(vmcfg: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vmcfg run quickstart` works in an empty folder; a file of that name would come first."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = vmcfg("run", "quickstart", "--set", "run.accesses=1000")
    assert (0, True) == (code, out.startswith("quickstart: "))
    Path("quickstart").write_text("mine: yes")
    assert 3 == vmcfg("run", "quickstart")[0]
