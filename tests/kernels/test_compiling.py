"""What has been compiled is known without loading it, so that a wait of seconds can be announced and only then."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

from vmcfg.engine.loop import LOOPS, specialise
from vmcfg.jit import PLAIN, entry, is_compiled, kernel, part, pinned

pytestmark = pytest.mark.skipif(PLAIN, reason="plain functions need no compilation")


class Pair(NamedTuple):
    """A machine of two arrays."""

    one: np.ndarray
    other: np.ndarray


def test_one_loop_with_machine_code_does_not_speak_for_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each specialisation has a name of its own, under which numba keeps the index of its machine code."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    fresh = {key: specialise(*key) for key in LOOPS}  # as they are in a new process
    assert not any(map(is_compiled, fresh.values()))
    first, *others = fresh.values()
    (tmp_path / f"loop.{first.py_func.__qualname__}-36.py311.nbi").touch()  # type: ignore[attr-defined]
    assert [True, *[False for _ in others]] == [is_compiled(each) for each in (first, *others)]


@part
def _plus(number, is_added):
    return number + 1 if is_added else number


@kernel
def _plus_twice(number):
    return _plus(_plus(number, True), True)


@entry
def _add_up(number):
    return _plus_twice(number) + _plus(number, False) + _plus(np.int64(3), number > 0)


def test_a_piece_is_compiled_once_whatever_constants_it_is_called_with() -> None:
    """Numba would take True, False and 3 for types; what is linked is right, though pieces reach an entry twice."""
    assert _add_up(5) == 5 + 2 + 5 + 3 + 1
    assert len(_plus.overloads) == 1


def test_a_machine_stays_pinned_until_another_is() -> None:
    """Pinning looks at every array, and whoever drives a machine hands it on at each step."""
    one, other = Pair(np.zeros(1), np.zeros(2)), Pair(np.zeros(1), np.zeros(2))
    first = pinned(one)
    assert pinned(one) is first
    assert pinned(other) is not first
    assert pinned(one).machine is one
