"""check and accept: the whole discipline, as a user meets it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]
GOLDEN = Path("golden/small.txt")


@pytest.fixture
def accepted(project: Path, vmcfg: Command) -> Path:
    """The project with its goldens."""
    assert 0 == vmcfg("accept")[0]
    return project


def test_a_project_without_goldens_fails(vmcfg: Command, project: Path) -> None:
    """Missing goldens are said one by one, and the new texts are left beside."""
    code, out, _ = vmcfg("check")
    assert (1, ["missing", "missing"]) == (code, [line.split()[0] for line in out.splitlines()[:2]])
    assert "0 of 2 scenarios are as accepted; if the new results are right: vmcfg accept" == out.splitlines()[-1]
    assert Path("golden/small.txt.new").is_file()


def test_accept_then_check_is_green(vmcfg: Command, project: Path) -> None:
    """Goldens stand at mirrored paths; the new texts are gone."""
    vmcfg("check")
    assert (
        0,
        "new       scenarios/more/native.yaml\nnew       scenarios/small.yaml\n2 of 2 goldens written\n",
        "",
    ) == (vmcfg("accept"))
    assert ["golden/more/native.txt", "golden/small.txt"] == sorted(map(str, Path("golden").rglob("*.*")))
    code, out, _ = vmcfg("check")
    assert (0, "2 of 2 scenarios are as accepted") == (code, out.splitlines()[-1])


def test_one_changed_digit_is_found_and_named(vmcfg: Command, accepted: Path) -> None:
    """Exit code 1, table, row, column, both values, and *.new beside the golden."""
    lines = GOLDEN.read_text().split("\n")
    row = 1 + next(number for number, line in enumerate(lines) if line.startswith("vm  ") and "guest_faults" in line)
    lines[row] = lines[row].replace("        2000  ", "        2001  ", 1)
    GOLDEN.write_text("\n".join(lines))
    code, out, _ = vmcfg("check")
    assert 1 == code
    assert "          vms, vm web, accesses: expected 2001, found 2000 (-1, -0.05 %)" in out.splitlines()
    assert Path("golden/small.txt.new").is_file()


def test_a_changed_scenario_is_said_first(vmcfg: Command, accepted: Path) -> None:
    """Another seed is another experiment: first its digest differs, then what came of it."""
    path = Path("scenarios/small.yaml")
    path.write_text(path.read_text() + "seed: 1\n")
    code, out, _ = vmcfg("check", "scenarios/small.yaml")
    lines = out.splitlines()
    assert (1, "differs   scenarios/small.yaml") == (code, lines[0])
    assert lines[1].startswith("          scenario, digest: expected ")
    assert "host h: the runs part between cycles 0 and " in out
    assert "changed   scenarios/small.yaml" == vmcfg("accept", "scenarios/small.yaml")[1].splitlines()[0]
    assert 0 == vmcfg("check")[0]


def test_an_orphan_fails_only_when_the_whole_set_ran(vmcfg: Command, accepted: Path) -> None:
    """A golden without scenario is stale; a selection cannot know that."""
    Path("scenarios/small.yaml").unlink()
    code, out, _ = vmcfg("check")
    assert (1, True) == (code, "orphan    golden/small.txt" in out)
    assert 0 == vmcfg("check", "scenarios/more")[0]
    assert "removed   golden/small.txt" in vmcfg("accept")[1]
    assert not GOLDEN.exists()


def test_a_long_scenario_is_no_orphan_and_not_run(vmcfg: Command, accepted: Path) -> None:
    """It is checked when it is selected."""
    path = Path("scenarios/small.yaml")
    path.write_text(path.read_text().replace("{title: A small one}", "{title: A small one, tags: [long]}"))
    code, out, _ = vmcfg("check")
    assert (0, "1 of 1 scenarios are as accepted") == (code, out.splitlines()[-1])
    assert "same      scenarios/small.yaml" in vmcfg("check", "--select", "tag:long")[1]


def test_accept_is_refused_in_ci(vmcfg: Command, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, before anything is run or written; check works there."""
    monkeypatch.setenv("CI", "true")
    code, out, err = vmcfg("accept")
    assert (2, "") == (code, out)
    assert "CI is set" in err
    assert not Path("golden").exists()
    assert 1 == vmcfg("check")[0]


def test_a_scenario_that_cannot_be_run_does_not_stop_the_others(vmcfg: Command, accepted: Path) -> None:
    """Invalid ones and failing ones are reported in place; the worst exit code counts."""
    small = Path("scenarios/small.yaml").read_text()
    Path("scenarios/a_broken.yaml").write_text("kind: nothing")
    Path("scenarios/b_hungry.yaml").write_text(small.replace("memory: 8MiB", "memory: 512KiB"))
    code, out, _ = vmcfg("check", "--exclude", "name:b_*")
    assert (3, ["invalid", "same", "same"]) == (code, _states(out))
    code, out, _ = vmcfg("check")
    assert (4, ["invalid", "failed", "same", "same"]) == (code, _states(out))
    code, out, _ = vmcfg("accept")
    assert (4, ["invalid", "failed", "unchanged", "unchanged"]) == (code, _states(out))
    assert not Path("golden/b_hungry.txt").exists()


def test_nothing_selected_is_no_success(vmcfg: Command, project: Path) -> None:
    """Exit code 5."""
    assert (5, "", "vmcfg: error: no scenario matches the selection\n") == vmcfg("check", "--select", "name:nobody")


def test_there_must_be_a_project(vmcfg: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to compare with."""
    monkeypatch.chdir(tmp_path)
    code, _, err = vmcfg("check")
    assert (2, True) == (code, "in a folder above, expected a project: scenarios lie below scenarios/" in err)


def _states(out: str) -> list[str]:
    return [line.split()[0] for line in out.splitlines()[:-1] if not line.startswith(" ")]
