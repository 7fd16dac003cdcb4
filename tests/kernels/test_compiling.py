"""What has been compiled is known without loading it, so that a wait of seconds can be announced and only then."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest

from vmcfg.engine.loop import LOOPS, specialise
from vmcfg.jit import PLAIN, is_compiled

pytestmark = pytest.mark.skipif(PLAIN, reason="plain functions need no compilation")


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
