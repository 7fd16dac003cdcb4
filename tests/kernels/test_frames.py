"""Machine frames come in ascending order, and what was given back comes first, last in first out."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracle import tiny

from vmcfg.engine.build import build
from vmcfg.jit import by_reference, entry
from vmcfg.plan import compile_plan
from vmcfg.vmm import machine as at
from vmcfg.vmm.frames import frame_free, frame_take
from vmcfg.workload.inputs import load_inputs

FRAMES = 60
TAKE = -1


@entry
def take_and_free(machine, program, results):  # type: ignore[no-untyped-def]
    """Take a frame of a kind where program[step, 0] is TAKE, else free that frame; keep what was taken."""
    m = by_reference(machine)
    for step in range(program.shape[0]):
        if program[step, 0] == TAKE:
            results[step] = frame_take(m, program[step, 1], np.int64(step))
        else:
            frame_free(m, program[step, 0])


@given(st.integers(1, 400), st.integers(0, 1 << 32))
def test_frames_come_from_a_stack(length: int, seed: int) -> None:
    """The same frames as from a Python list that is popped and appended to; kinds are counted on the way."""
    dice = Random(seed)
    free = list(reversed(range(FRAMES)))
    held: dict[int, int] = {}
    program, expected = [], []
    for _ in range(length):
        if free and (not held or dice.random() < 0.55):
            kind = dice.choice((at.FRAME_PRIVATE, at.FRAME_OVERHEAD))
            program.append((TAKE, kind))
            expected.append(free.pop())
            held[expected[-1]] = kind
        else:
            mpn = dice.choice(list(held))
            program.append((mpn, 0))
            expected.append(0)
            del held[mpn]
            free.append(mpn)
    machine = bare_machine()
    found = np.zeros(length, np.int64)
    take_and_free(machine, np.array(program, np.int64), found)
    assert expected == found.tolist()
    kinds = [held.get(mpn, at.FRAME_FREE) for mpn in range(FRAMES)]
    assert kinds == machine.host.kind.tolist()
    assert [kinds.count(kind) for kind in range(len(at.FRAME_KINDS))] == machine.host.counts[:5].tolist()
    assert [mpn in held for mpn in range(FRAMES)] == (machine.host.kind != at.FRAME_FREE).tolist()


def bare_machine() -> at.Machine:
    """A host whose frames are all free: its only VM is native and has given its pages back to nobody yet."""
    scenario = tiny.scenario(tiny.vm(memory_pages=30), on=tiny.host("native", memory_pages=FRAMES))
    [host] = compile_plan(scenario).hosts
    machine = build(host, 0, load_inputs([]))
    fresh = build(host, 0, load_inputs([])).host
    for array in (fresh.kind, fresh.owner, fresh.free_list, fresh.counts):
        array[:] = 0
    fresh.counts[[at.FRAME_FREE, at.TOTAL]] = FRAMES
    return machine._replace(host=fresh)
