"""The twin: the same kernels, plain, beside the compiled ones."""

from __future__ import annotations

import sys

import pytest

from vmcfg.engine import turn
from vmcfg.trace.twin import Arguments, Run, Twin


def test_the_twin_is_plain_and_the_package_never_meets_it() -> None:
    """Its functions are Python's; modules of the package are what they were."""
    before = dict(sys.modules)
    copy = Twin({}).module("vmcfg.engine.turn")
    assert type(lambda: 0) is type(copy.take_turn)
    assert copy.take_turn is not turn.take_turn
    assert before == {name: sys.modules[name] for name in before}
    assert sys.modules["vmcfg.engine.turn"] is turn


def test_callers_in_all_modules_meet_what_watches() -> None:
    """In the function's own module as well as in those that import it."""
    seen = []

    def watcher(run: Run, given: Arguments) -> object:
        seen.append(int(given["level"]))
        return run()

    twin = Twin({"vmcfg.hardware.core.entry_key": watcher})
    assert 1 == twin.module("vmcfg.hardware.core").entry_key(512, 2, 9)
    assert twin.module("vmcfg.mmu.walks").slot_in_table(0, 5, 1) == 5
    assert [2, 1] == seen


def test_a_function_that_is_gone_is_missed_at_once() -> None:
    """A watcher before nothing would see nothing, in silence."""
    with pytest.raises(AttributeError, match="no_such_kernel"):
        Twin({"vmcfg.hardware.core.no_such_kernel": lambda run, given: run()}).module("vmcfg.hardware.core")
