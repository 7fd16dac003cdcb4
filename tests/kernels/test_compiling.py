"""What has been compiled is known without loading it, so that a wait of seconds can be announced and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock

import numba
import numpy as np
import pytest

from vmcfg.engine.loop import LOOPS, specialise
from vmcfg.jit import PLAIN, beside, entry, is_compiled, kernel, part, pinned

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


def _add_up(number):
    return _plus_twice(number) + _plus(number, False) + _plus(np.int64(3), number > 0)


def test_a_piece_is_compiled_once_whatever_constants_it_is_called_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numba would take True, False and 3 for types; what is linked is right, though pieces reach an entry twice."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))  # or an earlier run's machine code would be loaded
    assert entry(_add_up)(5) == 5 + 2 + 5 + 3 + 1
    assert len(_plus.overloads) == 1


def test_a_machine_stays_pinned_until_another_is() -> None:
    """Pinning looks at every array, and whoever drives a machine hands it on at each step."""
    one, other = Pair(np.zeros(1), np.zeros(2)), Pair(np.zeros(1), np.zeros(2))
    first = pinned(one)
    assert pinned(one) is first
    assert pinned(other) is not first
    assert pinned(one).machine is one


ADDING = """
from typing import NamedTuple
import numpy as np
from vmcfg.jit import by_reference, entry

class Pair(NamedTuple):
    one: np.ndarray
    other: np.ndarray

@entry
def add_up(machine, number):
    return by_reference(machine).one[0] + number
"""
ASKING = """
import os
import numpy as np
from adding import Pair, add_up
from vmcfg.jit import address_of, pinned, prepare
os.sched_getaffinity = lambda process: {0, 1}  # a machine with two cores
machine = pinned(Pair(np.full(1, 40), np.zeros(2)))
prepare(add_up, machine)
assert address_of(add_up, machine)
print(sum(add_up.stats.cache_hits.values()), sum(add_up.stats.cache_misses.values()), add_up(machine, 2))
"""


def test_what_is_prepared_is_compiled_by_another_process_and_found_in_the_cache(tmp_path: Path) -> None:
    """On a first run the handlers of faults are compiled while this process compiles the rest."""
    (tmp_path / "adding.py").write_text(ADDING)
    environment = os.environ | {"VMCFG_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", ASKING], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["1", "0", "42"]


def test_one_worker_compiles_for_all_machines_that_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that is built before one is run asks anew, and would have a process of its own compile the same."""
    started: list[object] = []
    monkeypatch.setattr(beside, "_workers", {})
    monkeypatch.setattr(beside.subprocess, "Popen", lambda *_, **__: started.append(1) or Mock(stdin=BytesIO()))
    add_up = entry(_add_up)
    for _ in range(3):
        beside.compile_beside(add_up, (numba.int64,))
    assert [1] == started


def test_a_worker_that_fails_leaves_the_compilation_to_whoever_needs_it(tmp_path: Path) -> None:
    """The same, with a worker that cannot find the module."""
    (tmp_path / "adding.py").write_text(ADDING)
    hidden = ASKING.replace("from adding", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom adding")
    environment = os.environ | {"VMCFG_CACHE_DIR": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", hidden], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["0", "1", "42"]
