"""What all tests share: this folder on the import path, and the same examples in every run of the gate.

VMCFG_FUZZ=10000 lets property tests draw that many new examples each instead of the gate's own. The gate does not
shrink what fails: for whole machines, or where something hangs, that takes minutes. VMCFG_FUZZ does. Under coverage the
slow tests are not watched: naive loops would take twice as long, and the fast tests reach what is to be reached.
They run first: `hands.py` says why.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest
from hands import deal, keep_to_own_cores
from hypothesis import HealthCheck, Phase, settings

SLOW_BY_DESIGN = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]

settings.register_profile(
    "gate", derandomize=True, database=None, deadline=None, suppress_health_check=SLOW_BY_DESIGN, print_blob=False,
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip
settings.register_profile("fuzz", database=None, deadline=None, suppress_health_check=SLOW_BY_DESIGN, print_blob=True)
settings.load_profile("fuzz" if os.environ.get("VMCFG_FUZZ") else "gate")


def pytest_configure(config: pytest.Config) -> None:
    if worker := _worker(config):
        keep_to_own_cores(*worker)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _, workers = _worker(config) or (0, 1)
    items[:] = deal(items, workers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Take coverage's tracer away during a slow test.

    The marker `no_cover` of pytest-cov does not: each worker has begun to measure twice, and when the one is paused,
    the other, which nobody reads, goes on.
    """
    if not item.get_closest_marker("slow") or not item.config.pluginmanager.has_plugin("_cov"):
        return (yield)
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)


def _worker(config: pytest.Config) -> tuple[int, int] | None:
    """Return which of pytest-xdist's workers this process is, and of how many, if it is one."""
    told = getattr(config, "workerinput", None)
    return told and (int(told["workerid"].removeprefix("gw")), int(told["workercount"]))
