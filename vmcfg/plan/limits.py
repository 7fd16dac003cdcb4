"""Refuses a run that may need more than there is, before it starts: the bounds are those of the plan.

A bound that is too high by a factor costs the user one option; a machine that swaps, or a night of waiting, costs more.
"""

from __future__ import annotations

import os
from pathlib import Path

from vmcfg.errors import RunFailed
from vmcfg.plan.compile import cycles_of
from vmcfg.plan.model import UNLIMITED, HostPlan, Plan
from vmcfg.units import SIZES

MOST_TOUCHES = 10**11  # an hour or two
SLICES_PER_EPOCH = 1000  # a checkpoint takes about as long as so many slices in which nothing is due
SHARE_OF_MEMORY = 75  # percent
LARGEST_SHOWN = 3

_CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")


def default_bytes() -> int:
    """Return 75 % of the memory that this process may use."""
    return memory_bytes() * SHARE_OF_MEMORY // 100


def memory_bytes() -> int:
    """Return the machine's memory, or what a container leaves of it."""
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        allowed = _CONTROL_GROUP.read_text("ascii").strip()
    except OSError:
        return installed
    return min(installed, int(allowed)) if allowed.isdigit() else installed


def refuse_above(plan: Plan, most_bytes: int, most_touches: int) -> None:
    """Raise RunFailed with code `over_limit` if the plan's upper bounds exceed the limits.

    A run whose length only its traces know is let through: they are finite, and reading them tells.
    """
    if plan.max_bytes > most_bytes:
        raise RunFailed("over_limit", _too_many_bytes(plan, most_bytes))
    if most_touches < plan.max_touches < UNLIMITED:
        raise RunFailed("over_limit", _too_many_touches(plan, most_touches))
    for host in plan.hosts:
        slices, epochs = _drawn_out(plan, host)
        if most_touches < slices * host.cores + epochs * SLICES_PER_EPOCH and host.scheduled_cycles < UNLIMITED:
            raise RunFailed("over_limit", _too_long(host, slices, epochs, most_touches))


def rounded_size(size_bytes: int) -> str:
    """Write a size for reading: three digits or more of the largest unit that leaves them, rounded up."""
    unit = max((unit for unit in SIZES if SIZES[unit] * 10 <= size_bytes), key=SIZES.__getitem__, default="B")
    return f"{-(-size_bytes // SIZES[unit])}{unit}"


def _too_many_bytes(plan: Plan, most_bytes: int) -> str:
    arrays = sorted(
        ((array.touched_bytes, host.name, array) for host in plan.hosts for array in host.arrays),
        key=lambda entry: -entry[0],
    )
    parts = [f"  {rounded_size(size)}: {array.name} of host {host}, {array.meaning}" for size, host, array in arrays]
    return "\n".join(
        [
            f"the run may come to use {rounded_size(plan.max_bytes)}, the limit is {rounded_size(most_bytes)};"
            " the largest parts:",
            *parts[:LARGEST_SHOWN],
            "give the VMs less memory or smaller regions, or allow more with --limit",
        ]
    )


def _too_many_touches(plan: Plan, most_touches: int) -> str:
    parts = [f"  host {host.name}: {_touches(host)}" for host in plan.hosts]
    return "\n".join(
        [
            f"the run may come to make {plan.max_touches} touches, the limit is {most_touches}:",
            *parts,
            "shorten run.duration, run.accesses or run.warmup, use fewer VMs, or allow more with --limit-accesses",
        ]
    )


def _drawn_out(plan: Plan, host: HostPlan) -> tuple[int, int]:
    """Return into how many slices and epochs the host's schedules can draw out the run."""
    epoch_cycles = max(1, cycles_of(plan.scenario.run.epoch_ns, host.hz))
    return -(-host.scheduled_cycles // host.slice_cycles), -(-host.scheduled_cycles // epoch_cycles)


def _too_long(host: HostPlan, slices: int, epochs: int, most_touches: int) -> str:
    cores = f"{host.cores} core{'s' * (host.cores != 1)}"
    return "\n".join(
        [
            f"host {host.name} may come to wait for {host.scheduled_cycles // host.hz} s until touches are due:",
            f"  {slices} slices of {cores} and {epochs} epochs, each of which counts as {SLICES_PER_EPOCH} slices;"
            f" the limit is {most_touches}",
            "raise rates, take longer slices and epochs, or allow more with --limit-accesses",
        ]
    )


def _touches(host: HostPlan) -> str:
    if len(host.vcpus) == 1:
        return f"1 vCPU, {host.max_touches} touches"
    return f"{len(host.vcpus)} vCPUs, {host.max_touches} touches together"
