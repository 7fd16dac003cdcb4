"""Claims and comparisons as a user meets them: run, check and accept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

Command = Callable[..., tuple[int, str, str]]
SMALL = Path("scenarios/small.yaml")
HOLDS = "expect: [{table: vms, where: {vm: web}, column: accesses, value: 2000}]\n"
FAILS = "expect: [{table: vms, where: {vm: web}, column: accesses, value: 1999, source: nobody}]\n"
TOLD = "scenarios/small.yaml:11: claim failed: vms, vm web, accesses: expected 1999, found 2000, +1 (+0.05 %)"
MUST_FAIL = "expect: {error: out_of_frames}\n"


def expect(text: str) -> None:
    SMALL.write_text(SMALL.read_text("utf-8") + text, "utf-8")


def starve() -> None:
    """Leave too few frames for what is touched."""
    SMALL.write_text(SMALL.read_text("utf-8").replace("memory: 8MiB", "memory: 512KiB"), "utf-8")


def test_a_claim_that_holds_is_shown(vmcfg: Command, project: Path) -> None:
    """After the tables, with exit code 0."""
    expect(HOLDS)
    code, out, err = vmcfg("run", SMALL)
    assert (0, "") == (code, err)
    assert out.splitlines()[-1].split() == ["vms,", "vm", "web,", "accesses", "2000", "2000", "0", "holds", "-"]


def test_a_claim_that_fails_is_exit_code_1(vmcfg: Command, project: Path) -> None:
    """Said on standard error with its place, also when its table is not asked for."""
    expect(FAILS)
    for options in ([], ["--tables", "vms"], ["--format", "json"]):
        code, _, err = vmcfg("run", SMALL, *options)
        assert (1, f"vmcfg: {TOLD}\n") == (code, err)


def test_claims_are_rows_in_json(vmcfg: Command, project: Path) -> None:
    """Like any other table."""
    expect(FAILS)
    tables = json.loads(vmcfg("run", SMALL, "--format", "json", "--tables", "claims")[1])["tables"]
    assert [("1999", "2000", "failed", "nobody")] == [
        (row["expected"], row["found"], row["verdict"], row["source"]) for row in tables["claims"]
    ]


def test_a_failed_claim_is_no_golden_state(vmcfg: Command, project: Path) -> None:
    """It is accepted as what happened, and still fails every check until claim or scenario is put right."""
    expect(FAILS)
    code, out, _ = vmcfg("accept", SMALL)
    assert (1, True) == (code, f"          {TOLD}" in out.splitlines())
    code, out, _ = vmcfg("check", SMALL)
    assert (1, ["refuted   scenarios/small.yaml", f"          {TOLD}"]) == (code, out.splitlines()[:2])
    assert "0 of 1 scenarios are as accepted" in out


def test_the_outcome_of_claims_is_part_of_the_golden(vmcfg: Command, project: Path) -> None:
    """Another claim is a difference that `check` names, though the scenario's digest stays."""
    expect(HOLDS)
    vmcfg("accept", SMALL)
    assert 0 == vmcfg("check", SMALL)[0]
    SMALL.write_text(SMALL.read_text("utf-8").replace("value: 2000", "at_least: 1000"), "utf-8")
    code, out, _ = vmcfg("check", SMALL)
    assert (1, "differs   scenarios/small.yaml") == (code, out.splitlines()[0])
    assert "claims, claim vms, vm web, accesses, expected: expected 2000, found at least 1000" in out
    assert "digest" not in out


def test_a_run_that_must_fail_is_a_pass(vmcfg: Command, project: Path) -> None:
    """Its golden has the error and no tables."""
    starve()
    expect(MUST_FAIL)
    code, out, err = vmcfg("run", SMALL)
    assert (0, True) == (code, err.startswith("vmcfg: the run failed, as expected (out_of_frames): vm web needs"))
    assert "vms" not in out
    assert 0 == vmcfg("accept", SMALL)[0]
    golden = Path("golden/small.txt").read_text("utf-8")
    assert "\nerror out_of_frames\nvm web needs machine frames" in golden
    assert "table vms" not in golden and "digests" not in golden
    assert 0 == vmcfg("check", SMALL)[0]


def test_another_error_text_differs(vmcfg: Command, project: Path) -> None:
    """The text is part of the golden, and so is that there was an error at all."""
    starve()
    expect(MUST_FAIL)
    vmcfg("accept", SMALL)
    golden = Path("golden/small.txt")
    golden.write_text(golden.read_text("utf-8").replace("128 frames", "129 frames"), "utf-8")
    code, out, _ = vmcfg("check", SMALL)
    assert (1, True) == (code, "run: expected out_of_frames: vm web needs" in out)


def test_a_run_that_must_fail_and_does_not_fails_its_claim(vmcfg: Command, project: Path) -> None:
    """With the place of the claim."""
    expect(MUST_FAIL)
    code, _, err = vmcfg("run", SMALL)
    told = "scenarios/small.yaml:11: claim failed: error of the run: expected out_of_frames, found no error"
    assert (1, f"vmcfg: {told}\n") == (code, err)


def test_a_run_that_fails_otherwise_is_a_failed_run(vmcfg: Command, project: Path) -> None:
    """Out of frames is not out of guest pages."""
    starve()
    expect("expect: {error: out_of_guest_pages}\n")
    code, out, err = vmcfg("run", SMALL)
    assert (4, "") == (code, out)
    assert err.startswith("vmcfg: error: vm web needs machine frames")


def test_compare_gives_a_column_per_variant(vmcfg: Command, project: Path) -> None:
    """One option, nothing to write."""
    code, out, err = vmcfg("run", SMALL, "--compare", "mmu.mode=native,nested", "--tables", "comparison")
    assert (0, "") == (code, err)
    assert ["vm", "measure", "native", "nested", "slowdown"] == out.splitlines()[4].split()
    assert ["web", "accesses", "2000", "2000", "1.000"] in [line.split() for line in out.splitlines()]


def test_compare_says_what_it_does_not_compare(vmcfg: Command, project: Path) -> None:
    """Runs by time do different work."""
    options = ["--set", "run={duration: 1ms}", "--compare", "mmu.mode=native,nested"]
    code, out, err = vmcfg("run", SMALL, *options, "--tables", "comparison")
    assert (0, True) == (code, err.startswith("vmcfg: work that ends by time is not the same in all variants"))
    assert "-" == next(line.split()[-1] for line in out.splitlines() if " time_ns " in line)


def test_a_table_that_a_run_has_not_is_a_usage_error(vmcfg: Command, project: Path) -> None:
    """Asking for a comparison that nobody makes is no silent nothing."""
    for name in ("comparison", "claims", "nonsense"):
        code, out, err = vmcfg("run", SMALL, "--tables", name)
        assert (2, "") == (code, out)
        assert f"found '{name}', expected one of vms, translation, exits, guest, flushes, memory, time, frames\n" in err


def test_a_plan_says_what_is_asked_of_the_run(vmcfg: Command, project: Path) -> None:
    """Variants and claims."""
    expect(HOLDS + "compare: {mmu.mode: [native, nested]}\n")
    out = vmcfg("plan", SMALL)[1]
    assert "compare mmu.mode: native, nested; each is run" in out
    assert "expect 1 claim, judged at the end" in out
    SMALL.write_text(SMALL.read_text("utf-8").split("expect:")[0] + MUST_FAIL, "utf-8")
    assert "expect error out_of_frames" in vmcfg("plan", SMALL)[1]
