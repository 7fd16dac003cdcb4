"""The loop over slices, cores and vCPUs: one call from Python per host and due time.

    for each slice up to t_end in which any core has something to do
        for each core, in index order, until its clock reaches the slice's end
            vCPUs that have woken join the queue; its head takes a turn
            a head that has held the core for a quantum goes to the tail if another waits

`until` stops after the n-th touch of one vCPU, inside a slice; so does a want of frames. Calling `run` again
continues the same turn: neither changes the interleaving.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

from vmcfg.engine.answers import EVENTS, FAULTS, FREE_FRAMES, FREE_PAGES, GENERATE, STRAIGHT, UNKNOWN, WALKS, lacking
from vmcfg.engine.events import handle
from vmcfg.engine.faults import answer_fault
from vmcfg.engine.other_walks import walk_besides
from vmcfg.engine.queues import give_core, join_woken, leave, next_wake, pass_idle, rotate, wait
from vmcfg.engine.room import ALL_FINISHED, DONE, EVENTS_DUE, NEED_FRAMES, NEED_GUEST_PAGES, TOO_LONG
from vmcfg.engine.straight import straight_on
from vmcfg.engine.turn import BLOCKED, WORK_ENDED, take_turn
from vmcfg.guest.reclaim import ENOUGH, NO_FRAMES, WAITS, make_free
from vmcfg.jit import address_of, by_reference, call, entry, kernel, named, pinned
from vmcfg.mmu.walks import MODES, WALKS_AS
from vmcfg.vmm import machine as at
from vmcfg.vmm.paging import PAGES
from vmcfg.vmm.reclaiming import NO_QUOTA, make_room
from vmcfg.workload.generate import fill_buffer


def specialise(mode: int, is_lean: bool, has_data_caches: bool) -> Callable[..., int]:
    """Return the compiled loop for one MMU mode; for hosts whose translation caches are all lean, or any; and for
    walks that go through data caches, or not.

    Lean caches have a power of two of sets and at most sixteen ways under LRU, and one first level serves fetches and
    data. What is closed over are constants: the compiler leaves out all that is there for the other cases.
    """

    @entry
    @named(f"run_mode_{mode}" + "_lean" * is_lean + "_cached" * has_data_caches)
    def run(machine, t_end, until_vcpu, until_retired):
        """Simulate one host up to the slice that begins at `t_end`.

        `until_vcpu` (or NOBODY) is stopped when it has retired `until_retired` touches. Returns DONE, ALL_FINISHED,
        UNTIL, NEED_FRAMES or NEED_GUEST_PAGES, or ASK plus the answer that it has come to need and does not know; after
        the last four the same call continues where it stopped. TOO_LONG: it has gone through more than MOST_STEPS.
        """
        m = by_reference(machine)
        s = m.sched
        while s[at.NOW] < t_end:
            if s[at.UNFINISHED] == 0:
                return ALL_FINISHED
            if pass_idle(m, t_end):
                continue
            if s[at.STEPS] > s[at.MOST_STEPS]:
                return TOO_LONG
            stop = min(s[at.NOW] + s[at.SLICE_CYCLES], s[at.RUN_END])
            while s[at.TURN] < s[at.CORES]:
                why = _run_core(m, s[at.TURN], stop, until_vcpu, until_retired, mode, is_lean, has_data_caches)
                if why != DONE:
                    return why
                s[at.TURN] += 1
            s[at.TURN] = 0
            s[at.STEPS] += s[at.CORES]
            s[at.NOW] += s[at.SLICE_CYCLES]
        return DONE if s[at.UNFINISHED] else ALL_FINISHED

    return run


ENTRIES = {
    FAULTS: answer_fault,
    WALKS: walk_besides,
    GENERATE: fill_buffer,
    STRAIGHT: straight_on,
    EVENTS: handle,
    FREE_PAGES: make_free,
    FREE_FRAMES: make_room,
}
"""What loops call by its address: see `engine.answers`."""

ASK = 100  # plus which answer: the loop has come to need one that it does not know

_WALKS = [mode for mode in MODES.values() if mode not in WALKS_AS]
LOOPS = {case: specialise(*case) for case in product(_WALKS, (False, True), (False, True))}
"""By how the MMU mode walks, `is_lean`, `has_data_caches`; each is compiled when a host first needs it."""


def loop_of(machine: at.Machine) -> Callable[..., int]:
    """Return the loop that fits a machine."""
    cost = machine.cost
    return LOOPS[walks_as(int(cost[at.MODE])), bool(cost[at.IS_LEAN]), bool(cost[at.HAS_DATA_CACHES])]


def walks_as(mode: int) -> int:
    """Return the mode whose loop serves a mode."""
    return WALKS_AS.get(mode, mode)


def run(machine: at.Machine, t_end: int, until_vcpu: int = at.NOBODY, until_retired: int = 0) -> int:
    """Simulate one host up to the slice that begins at `t_end`: see `run` in `specialise`."""
    return Runner(machine).run(t_end, until_vcpu, until_retired)


class Runner:
    """A machine that is run more than once, its loop, and the answers that it has come to need."""

    def __init__(self, machine: at.Machine) -> None:
        self._machine, self._pinned = machine, pinned(machine)
        self._loop = loop_of(machine)
        self._loop(self._pinned, 0, at.NOBODY, 0)  # goes nowhere, but is compiled: FAULTS may be, beside
        for what in always_needed(machine):
            self.find(what)

    def run(self, t_end: int, until_vcpu: int = at.NOBODY, until_retired: int = 0) -> int:
        """Simulate up to the slice that begins at `t_end`: see `run` in `specialise`."""
        while True:
            why = int(self._loop(self._pinned, t_end, until_vcpu, until_retired))
            if why < ASK:
                return why
            self.find(why - ASK)

    def find(self, what: int) -> None:
        """Let the loop know where an answer is that it has asked for."""
        self._machine.answers[what] = address_of(ENTRIES[what], self._pinned)


def always_needed(machine: at.Machine) -> tuple[int, ...]:
    """Return the answers that a loop calls without asking whether they are known; what takes longest comes last."""
    return (WALKS, GENERATE, FAULTS) if machine.cost[at.HAS_TLB] else (WALKS, GENERATE, STRAIGHT, FAULTS)


@kernel
def _run_core(m, core, stop, until_vcpu, until_retired, mode, is_lean, has_data_caches):
    c = m.core
    while c[core, at.CLOCK] < stop or c[core, at.IS_STOPPED]:
        # A turn that goes on is still the same turn: nobody joins, and where it ends, it ends in its own slice.
        if not c[core, at.IS_STOPPED]:
            join_woken(m, core)
        c[core, at.IS_STOPPED] = 0
        if c[core, at.QUEUED] == 0:
            c[core, at.CLOCK] = min(stop, next_wake(m, core))
            continue
        vcpu = np.int64(m.queue[core, 0])
        if c[core, at.HEAD] != vcpu:
            give_core(m, core, vcpu)
        until = until_retired if vcpu == until_vcpu else np.int64(at.UNLIMITED)
        why = take_turn(m, core, vcpu, stop, until, mode, is_lean, has_data_caches)
        if why == WORK_ENDED:
            leave(m, core, vcpu)
        elif why == BLOCKED:
            wait(m, core, vcpu)
        elif why != DONE:
            c[core, at.IS_STOPPED] = 1
            why = _answer(m, core, why)
            if why != DONE:
                return why
    rotate(m, core)
    return DONE


@kernel
def _answer(m, core, why):
    """Do what a turn has stopped for, if kernels can; return DONE then, or what is still wanted."""
    if why == EVENTS_DUE:
        if m.answers[EVENTS] == UNKNOWN:
            return ASK + EVENTS
        why = call(m.answers[EVENTS], m, core)
    if why == NEED_GUEST_PAGES and m.guests.vm[m.vcpu[np.int64(m.queue[core, 0]), at.VM], at.RECLAIMS]:
        missing = lacking(m)
        if missing:
            return ASK + missing
        made = call(m.answers[FREE_PAGES], m, core)
        if made in (ENOUGH, WAITS):
            return DONE
        why = NEED_FRAMES if made == NO_FRAMES else why
    if why == NEED_FRAMES and m.paging.rules[PAGES]:
        if m.answers[FREE_FRAMES] == UNKNOWN:
            return ASK + FREE_FRAMES
        why = NEED_FRAMES if call(m.answers[FREE_FRAMES], m, core) == NO_QUOTA else DONE
    return why
