"""Pages that leave memory and come back, against the oracle's dictionaries and lists: counts equal to the last one."""

from __future__ import annotations

import os
from collections import Counter
from random import Random

import pytest
from machines import Case
from oracle import run as of_oracle
from oracle.memory import OutOfFramesError, OutOfGuestPagesError
from test_engine_equals_oracle import differences, figures_of_engine, figures_of_oracle

from vmcfg.engine import simulate
from vmcfg.errors import RunFailed
from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

MODES = {
    "nested": "{mode: nested}",
    **{each: f"{{mode: shadow, shadow: {{variant: {each}}}}}" for each in ("virtual_tlb", "cached", "unsync")},
}
VICTIMS = ("random", "fifo", "clock", "clock_referenced", "sieve", "two_list")
TEXT = """
apiVersion: vmcfg/v1
kind: Scenario
metadata: {{title: Under pressure}}
seed: {seed}
run: {{accesses: {accesses}, epoch: 5ms, slice: 100us}}
hosts:
  h:
    memory: {host}KiB
    cores: 1
    cpu:
      profile: haswell
      tlb: {{l1: {{entries: 8, ways: 4}}, l1_instructions: none, l2: {{entries: 16, ways: 4}}}}
    mmu: {mmu}
    disks: {{ssd: {{latency: 20us, bandwidth: 1GiB/s, seek: {seek}us}}}}
    swap: {{size: {swap}KiB}}
    {paging}
vms:
{vms}
workloads:
  w: {{processes: 2, max_processes: 4, phases: [{{pattern: {pattern}, write: 40%, events: [{events}]}}]}}
"""
EVENTS = (
    "{kind: exit, every: 290}", "{kind: context_switch, every: 37}", "{kind: munmap, every: 61, pages: 9}",
    "{kind: munmap, every: 190, pages: 40}", "{kind: mprotect, every: 103, pages: 5, to: read}",
    "{kind: mprotect, every: 139, pages: 5, to: read_write}",
)  # fmt: skip


def scenario(number: int, mode: str, accesses: int = 1500) -> str:
    """A host that is short of memory, with one or two guests that are, too: another one for each number."""
    dice = Random(number)
    victim = dice.choice(VICTIMS)
    names = "ab"[: dice.choice((1, 1, 2))]
    vms = []
    for name in names:
        steps = ", ".join(f"{{at: {at}ms, target: {4 * dice.randrange(80)}KiB}}" for at in (2, 5, 9))
        balloon = f"balloon: {{poll: 900us, schedule: [{steps}, {{at: 7ms, touched: true}}]}}"
        own = f"swap: {{size: 3MiB}}, reclaim: {{victim: {victim}, keep_free: {dice.choice((32, 64, 128))}KiB}}, "
        pages = dice.choice((200, 300))
        vms.append(
            f"  {name}: {{memory: {4 * pages}KiB, kernel_memory: 32KiB, workload: w, "
            f"{own * (dice.random() < 0.7)}{balloon * (dice.random() < 0.6)}}}"
        )
    size = 4 * dice.choice((90, 130)) if "swap" in "".join(vms) else 4 * 60
    how = f"{{victim: {dice.choice(VICTIMS)}, batch: {dice.choice((1, 5, 8))}, read_ahead: {dice.choice((1, 4, 8))}"
    return TEXT.format(
        seed=number,
        accesses=accesses,
        host=4 * dice.choice((170, 260)) * len(names),
        mmu=MODES[mode],
        seek=dice.choice((0, 30)),
        swap=4 * dice.choice((900, 3000)),
        paging=f"reclaim: {{paging: {how}, preventer: {str(dice.random() < 0.3).lower()}}}}}",
        vms="\n".join(vms),
        pattern=dice.choice((f"{{kind: uniform, size: {size}KiB}}", f"{{kind: sequential, size: {size}KiB}}")),
        events=", ".join(["{kind: fork, every: 211}", *dice.sample(EVENTS, 4)]),
    )


def figures(number: int, mode: str, accesses: int = 1500) -> dict[str, int]:
    """Compare engine and oracle, with all invariants checked at each epoch's end; return the figures, none if it fails.

    A guest whose pages or slots run out fails in both.
    """
    case = Case(loads(scenario(number, mode, accesses)), {})
    plan = compile_plan(case.scenario)
    try:
        oracle = figures_of_oracle(case, of_oracle(case.scenario))
    except (OutOfFramesError, OutOfGuestPagesError):
        with pytest.raises(RunFailed):
            simulate(plan, jobs=1)
        return {}
    engine = figures_of_engine(simulate(plan, check_invariants=True, jobs=1))
    assert {} == differences(oracle, engine)
    return oracle


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_what_leaves_memory_and_comes_back_is_counted_as_by_the_oracle(mode: str) -> None:
    """Forks, exits, unmappings, balloons, pages in and out of host and guest, in a seeded row of machines."""
    seen: Counter[str] = Counter()
    is_whole = "VMCFG_EXAMPLES" not in os.environ
    for number in range(12 if is_whole else 6):
        found = figures(number, mode, 1500 if is_whole else 700)
        seen.update({name.rsplit(" ", 1)[-1]: n for name, n in found.items()})
    if not is_whole:  # fewer examples than the gate's need not show everything
        return
    moved = (
        "host_page_outs", "host_page_ins", "host_read_ahead", "guest_page_outs", "guest_page_ins", "double_page_outs",
        "double_page_ins", "false_reads", "stale_reads", "prevented_reads", "balloon_inflated", "balloon_deflated",
        "balloon_pops", "balloon_frames_won", "guest_slots_freed", "cow_faults", "process_exits", "blocked_cycles",
    )  # fmt: skip
    assert [] == [name for name in moved if not seen[name]]
