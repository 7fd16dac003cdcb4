"""Any machine under pressure keeps its sums and invariants, and counts as the oracle does as far as that can follow.

Machines are those of `test_pressure_equals_oracle`, drawn by Hypothesis, and others besides that the oracle does not
know: hosts that page the guests of files, zero-page threads, free-page reporting. The gate draws a few short ones;
VMCFG_FUZZ=1000 draws as many new ones, and shrinks what fails.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines import examples
from running import simulate_checked
from test_pressure_equals_oracle import MODES, figures, machine

from vmcfg.errors import RunFailed
from vmcfg.metrics.result import HostResult, RunResult
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

STATES = ("private", "shared", "ballooned", "swapped", "compressed", "unbacked")
KINDS = ("free", "private", "shared", "overhead", "reserved")
ELSEWHERE = ("zero_thread: 20MiB/s", "free_page_reporting: {every: 2ms, blocks: 1}")  # what the oracle does not know


@st.composite
def machines(draw: Any) -> tuple[str, bool]:
    """The text of a scenario, and whether the oracle can follow it."""
    dice = draw(st.randoms(use_true_random=False))
    has_files, is_host_short = draw(st.booleans()), draw(st.booleans())
    mode, seed, accesses = draw(st.sampled_from(list(MODES))), draw(st.integers(0, 99)), draw(st.integers(1, 700))
    text = machine(dice, seed, mode, accesses, has_files, is_host_short)
    more = draw(st.sampled_from(("", "", *ELSEWHERE)))
    text = text.replace("kernel_memory: 32KiB", f"kernel_memory: 32KiB, {more}") if more else text
    return text, not more and not (has_files and is_host_short)


@pytest.mark.slow
@given(machines())
@examples(30)
def test_any_machine_keeps_its_sums_and_counts_as_the_oracle_does(drawn: tuple[str, bool]) -> None:
    """Each page is in one state, each frame of one kind, at each epoch and at the end; a run that fails says why."""
    text, is_known = drawn
    try:
        result = simulate_checked(compile_plan(loads(text)))
    except RunFailed as failed:
        assert failed.code in ("out_of_frames", "out_of_guest_pages"), failed
    else:
        keeps_its_sums(result)
    if is_known:
        figures(text)


def keeps_its_sums(result: RunResult) -> None:
    """Pages of VMs by state, frames of hosts by kind, and private frames by whose they are."""
    for vm in result.vms:
        assert vm.pages["configured"] == sum(vm.pages.get(state, 0) for state in STATES)
    for host in result.hosts:
        assert host.frames["total"] == sum(host.frames[kind] for kind in KINDS)
        assert host.frames["private"] == private_pages(result, host)


def private_pages(result: RunResult, host: HostResult) -> int:
    """Count the pages with a frame of all VMs; there is one host."""
    assert result.hosts == (host,)
    return sum(vm.pages["private"] for vm in result.vms)
