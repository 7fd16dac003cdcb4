"""The Plan's values of workloads: phases, parts of mixtures, events. Cycles are those of the host."""

from __future__ import annotations

from attrs import frozen

from vmcfg.scenario.spec import GuestEvent, Pattern, Region, Trace


@frozen
class PhasePlan:
    """One phase of a workload. `touches` and `cycles` end it, UNLIMITED where they do not."""

    workload: str
    number: int  # from 1
    pattern: Pattern | None
    region: Region | None
    trace: Trace | None
    write_ppm: int
    per_touch: int
    touches: int
    cycles: int
    step: int  # paced: cycles between touches = step + remainder / divisor
    step_remainder: int
    step_divisor: int  # 0: back to back
    epoch_cycles: int = 0  # of a trace that is told by epochs
    parts: tuple[PartPlan, ...] = ()  # of a mixture, which has no region itself
    events: tuple[EventPlan, ...] = ()


@frozen
class EventPlan:
    """Something that the guest's kernel does from time to time during a phase."""

    event: GuestEvent
    region: Region | None


@frozen
class PartPlan:
    """One part of a mixture; `weights` sums its weight and those of the parts before it."""

    workload: str
    weights: int
    pattern: Pattern
    region: Region
