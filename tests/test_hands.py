"""The order of the tests: none is lost, and what compiles stands at the start of a worker's hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hands import FIRST, deal
from sources import PACKAGE


class Item:
    """As much of a test as its order depends on."""

    def __init__(self, name: str, is_slow: bool) -> None:
        self.path, self._is_slow = Path(name), is_slow

    def get_closest_marker(self, name: str) -> Any:
        return name if name == "slow" and self._is_slow else None


def hands_of(files: str, workers: int) -> str:
    """Deal tests that are told by their files' letters, slow ones by capitals; A and B are those that come first."""
    names = dict(zip("AB", FIRST, strict=True))
    items: Any = [Item(names.get(letter, letter), letter.isupper()) for letter in files]
    letters = {name: letter for letter, name in names.items()}
    return "".join(letters.get(item.path.name, item.path.name) for item in deal(items, workers))


@pytest.mark.parametrize(("workers", "expected"), [
    (1, "ABBCCDabcdef"),
    (2, "ACCabc" + "BBDdef"),
    (3, "ADab" + "BBcd" + "CCef"),
    (4, "Aab" + "BBc" + "CCd" + "Def"),
])  # fmt: skip
def test_slow_tests_come_first_in_each_hand(workers: int, expected: str) -> None:
    """Hands are as large as the scheduler's; slow tests of a file stay in one, fast ones fill the rest in order."""
    assert expected == hands_of("aCbCcBdBADef", workers)


def test_a_hand_of_slow_tests_may_be_too_large() -> None:
    """The scheduler cuts where it cuts, and nothing is lost."""
    assert "BBBBBab" == hands_of("BaBBbBB", 2)


def test_what_comes_first_is_there() -> None:
    """A file that is renamed would silently lose its place."""
    found = {path.name for path in (PACKAGE.parent / "tests").rglob("test_*.py")}
    assert set() == set(FIRST) - found
