"""Verdicts on files: what is compared, what is left beside a golden, who may write one."""

from __future__ import annotations

from pathlib import Path

import pytest
from made_results import outcome

from vmcfg.errors import UsageError
from vmcfg.golden.text import render
from vmcfg.golden.verdict import accept, judge, refuse_in_ci, remove_orphan

TEXT = render(outcome())
OTHER = TEXT.replace("scenario sha256 ab", "scenario sha256 cd")


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return tmp_path / "golden" / "deep" / "made.txt"


def test_a_golden_that_agrees_leaves_nothing(golden: Path) -> None:
    """Equal bytes are the only agreement; an older *.new is cleared away."""
    accept(golden, TEXT)
    golden.with_name("made.txt.new").write_text("old", "utf-8")
    assert judge(golden, TEXT).is_good
    assert ["made.txt"] == _files(golden)


def test_a_missing_golden_fails_and_leaves_the_new_text(golden: Path) -> None:
    """Nothing to compare with is not success."""
    verdict = judge(golden, TEXT)
    assert ("missing", False) == (verdict.state, verdict.is_good)
    assert TEXT == golden.with_name("made.txt.new").read_text("utf-8")
    assert not golden.exists()


def test_a_difference_leaves_the_new_text_beside(golden: Path) -> None:
    """The golden itself is not touched."""
    accept(golden, TEXT)
    verdict = judge(golden, OTHER)
    assert "differs" == verdict.state
    assert verdict.lines[0].startswith("scenario, digest: expected abab")
    assert (TEXT, OTHER) == (golden.read_text("utf-8"), golden.with_name("made.txt.new").read_text("utf-8"))


def test_accept_says_what_it_did(golden: Path) -> None:
    """New, unchanged, or changed with the differing cells."""
    assert ["new", "unchanged"] == [accept(golden, TEXT).state for _ in range(2)]
    judge(golden, OTHER)
    changed = accept(golden, OTHER)
    assert ("changed", 1) == (changed.state, len(changed.lines))
    assert ["made.txt"] == _files(golden)


def test_goldens_are_utf8_with_plain_line_ends(golden: Path) -> None:
    """The same bytes on every system; a golden with other line ends differs."""
    accept(golden, TEXT)
    assert TEXT.encode() == golden.read_bytes()
    golden.write_bytes(TEXT.replace("\n", "\r\n").encode())
    assert "differs" == judge(golden, TEXT).state


def test_a_golden_that_is_no_text_differs(golden: Path) -> None:
    """Any bytes can be compared; none make a traceback."""
    golden.parent.mkdir(parents=True)
    golden.write_bytes(bytes(range(256)))
    assert ("the golden file cannot be read, line 1: expected the line that `vmcfg accept` begins a golden with",) == (
        judge(golden, TEXT).lines
    )


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_accept_is_refused_in_ci(value: str) -> None:
    """A machine must not decide that new results are right."""
    with pytest.raises(UsageError, match="CI is set"):
        refuse_in_ci({"CI": value})
    refuse_in_ci({"CI": ""})
    refuse_in_ci({})


def test_only_our_own_orphans_are_removed(golden: Path) -> None:
    """A file that `accept` did not write is left alone."""
    accept(golden, TEXT)
    foreign = golden.with_name("notes.txt")
    foreign.write_text("mine", "utf-8")
    assert [True, False] == [remove_orphan(golden), remove_orphan(foreign)]
    assert ["notes.txt"] == _files(golden)


def _files(golden: Path) -> list[str]:
    return sorted(path.name for path in golden.parent.iterdir())
