"""The verdict on one scenario: its golden text against the file that was accepted, and how that is told.

A failed comparison leaves the new text beside the golden as `*.new`, for a diff tool or an upload; `accept` alone
writes goldens, and never where CI is set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from attrs import frozen

from vmcfg.errors import UsageError
from vmcfg.files import write_text
from vmcfg.golden.compare import differences, divergences
from vmcfg.golden.text import HEAD, GoldenError, parse

SHOWN_DIFFERENCES = 10


@frozen
class Verdict:
    """`state` is one word; `lines` say what differs, each ready to be shown."""

    state: str  # same | differs | missing | refuted (a claim failed); from accept: new | changed | unchanged
    lines: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.state == "same"


def judge(golden: Path, text: str) -> Verdict:
    """Compare a golden text with its file; leave or remove the `*.new` beside it."""
    old = _read(golden)
    if old == text:
        _new(golden).unlink(missing_ok=True)
        return Verdict("same")
    write_text(_new(golden), text)
    return Verdict("missing") if old is None else Verdict("differs", explain(old, text))


def accept(golden: Path, text: str) -> Verdict:
    """Write a golden text to its file; say what changed."""
    old = _read(golden)
    _new(golden).unlink(missing_ok=True)
    if old == text:
        return Verdict("unchanged")
    write_text(golden, text)
    return Verdict("new") if old is None else Verdict("changed", explain(old, text))


def refuse_in_ci(environment: Mapping[str, str]) -> None:
    """Raise UsageError where CI is set: a machine must not decide that new results are right."""
    if environment.get("CI"):
        raise UsageError("accept is refused because CI is set: people accept goldens, in a commit that says why")


def remove_orphan(golden: Path) -> bool:
    """Remove a golden whose scenario is gone, if `accept` wrote it; tell whether it did."""
    old = _read(golden) or ""
    is_ours = old.startswith(HEAD)
    if is_ours:
        os.unlink(golden)
    return is_ours


def explain(old: str, new: str) -> tuple[str, ...]:
    """Return what differs between two golden texts, the first few cells one by one."""
    try:
        before, now = parse(old), parse(new)
    except GoldenError as error:
        return (f"the golden file cannot be read, {error}",)
    found = differences(before, now)
    lines = [str(difference) for difference in found[:SHOWN_DIFFERENCES]]
    if len(found) > SHOWN_DIFFERENCES:
        lines.append(f"and {len(found) - SHOWN_DIFFERENCES} more, {len(found)} in all")
    lines += divergences(before, now)
    return tuple(lines or _other_line(old, new))


def _other_line(old: str, new: str) -> list[str]:
    """The values agree and the text does not: somebody edited the file."""
    pairs = zip_longest(old.split("\n"), new.split("\n"))
    number = next(number for number, (before, now) in enumerate(pairs, 1) if before != now)
    return [f"line {number} is not written as `vmcfg accept` writes it"]


def _read(golden: Path) -> str | None:
    try:
        return golden.read_bytes().decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def _new(golden: Path) -> Path:
    return golden.with_name(golden.name + ".new")
