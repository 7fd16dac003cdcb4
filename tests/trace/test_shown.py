"""Accesses as people see them. A text is renewed, after a look at it, with `vmcfg trace … > tests/trace/NAME.txt`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vmcfg.cli.main import main
from vmcfg.trace.paint import in_colour

HERE = Path(__file__).parent
SMALL = str(HERE / "small.yaml")
SHORT = str(HERE / "short.yaml")
COLD = str(HERE.parent.parent / "scenarios" / "walks" / "cold_nested_walk_takes_24_references.yaml")

SHOWN = {
    "cold_nested": (COLD, "--access", "5"),
    "cold_native": (COLD, "--access", "5", "--set", "mmu.mode=native"),
    "first_touch": (SMALL, "--access", "1"),
    "first_touch_native": (SMALL, "--access", "1", "--set", "mmu.mode=native"),
    "dirty_walk": (SMALL, "--access", "126"),
    "paged_out_and_in": (SHORT, "--access", "58", "--count", "2"),
    "warm": (SMALL, "--access", "391", "--count", "6"),
}

Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `vmcfg trace …`; returns what it printed, after its exit code unless that is 0."""

    def run(*words: str) -> str:
        code = main(["trace", *words])
        captured = capsys.readouterr()
        return captured.out if code == 0 else f"{code}: {captured.err}"

    return run


@pytest.mark.parametrize("name", SHOWN)
def test_an_access_reads_like_this(name: str, say: Say) -> None:
    """The text is the one that was accepted, to the last space."""
    assert (HERE / f"{name}.txt").read_text("utf-8") == say(*SHOWN[name])


def test_a_cold_nested_access_shows_24_references(say: Say) -> None:
    """Numbered 1 to 24: four times a host walk of 4 and a guest entry, then the host walk of the page."""
    numbers = [line.split()[0] for line in say(*SHOWN["cold_nested"]).splitlines() if " L" in line]
    assert [str(number) for number in range(1, 25)] == [number for number in numbers if number.isdigit()]


def test_json_says_the_same(say: Say) -> None:
    """The same 24 references, for programs."""
    data = json.loads(say(*SHOWN["cold_nested"], "--format", "json"))
    (access,) = data["accesses"]
    (walk,) = [step for step in access["steps"] if step["step"] == "walk"]
    assert (5, "load", 4, 20) == (access["number"], access["kind"], walk["guest_refs"], walk["host_refs"])
    assert {"base": 4, "walk": 336} == {part: cycles for part, cycles in access["parts"].items() if cycles}


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal that is not dumb, unless NO_COLOR says no; the letters are the same."""
    from vmcfg.cli import trace

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert trace._may_colour()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not trace._may_colour()
    assert "\x1b[36mguest\x1b[0m" == in_colour("guest", "guest")
    assert "text" == in_colour("text", "plain")


def test_a_run_that_is_shorter_says_so(say: Say) -> None:
    """An access that never comes is named with how many there are."""
    assert "2: vmcfg: error: --access: found 401, but web/0 ends after 400 touches\n" == say(SMALL, "--access", "401")


def test_the_last_accesses_are_shown_and_no_more(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    """Where fewer are left than were asked for, those are shown."""
    assert 2 == say(SMALL, "--access", "399", "--count", "10").count("of web/0:")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--vm", "wbe"), "2: vmcfg: error: --vm: found 'wbe', expected one of web\n"),
        (("--vcpu", "1"), "2: vmcfg: error: --vcpu: found 1, expected 0 … 0, the vCPUs of web\n"),
        (("--set", "vms.web.count=2"), "2: vmcfg: error: --vm: found nothing, expected one of web-1, web-2\n"),
    ],
)
def test_who_is_not_there_is_named(words: tuple[str, ...], expected: str, say: Say) -> None:
    """A VM or vCPU that does not exist, and none where there are several."""
    assert expected == say(SMALL, "--access", "1", *words)


def test_a_number_that_is_none_is_refused(say: Say) -> None:
    """Accesses count from 1, and units are those of scenarios."""
    assert "argument --access: found '0', expected 1 or more" in say(SMALL, "--access", "0")
    assert "argument --count: found 'ten'" in say(SMALL, "--access", "1", "--count", "ten")
