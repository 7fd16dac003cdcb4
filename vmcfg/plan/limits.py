"""Refuses a run that may need more than there is, before it starts: the bounds are those of the plan.

A bound that is too high by a factor costs the user one option; a machine that swaps, or a night of waiting, costs more.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vmcfg.errors import RunFailed
from vmcfg.plan.compile import cycles_of
from vmcfg.plan.model import UNLIMITED, HostPlan, Plan
from vmcfg.units import SIZES

MOST_TOUCHES = 10**11  # an hour or two
SLICES_PER_STEP = 1000  # what is due at its time, such as an epoch, takes about as long as so many slices of a core
SHARE_OF_MEMORY = 75  # percent
LARGEST_SHOWN = 3
MILLISECOND = 1_000_000  # a step of a boot, and of a zero-page thread

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
        slices, steps = -(-host.scheduled_cycles // host.slice_cycles), due_steps(plan, host)
        if most_touches < slices * host.cores + steps * SLICES_PER_STEP and host.scheduled_cycles < UNLIMITED:
            raise RunFailed("over_limit", _too_long(host, slices, steps, most_touches))


def due_steps(plan: Plan, host: HostPlan) -> int:
    """Bound how often something is due on a host while its schedules last, and to the end of a run that ends by time.

    What comes on top while disks are waited for only the run itself can know.
    """
    return sum(_drawn_out(host) // max(1, cycles_of(period, host.hz)) for period in _periods(plan, host))


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


def _drawn_out(host: HostPlan) -> int:
    """Return how long a run can last but for what its touches cost, in cycles; or how long it is to last."""
    return host.scheduled_cycles if host.run_end == UNLIMITED else host.run_end


def _periods(plan: Plan, host: HostPlan) -> Iterator[int]:
    """Yield after how many nanoseconds each thing is due on a host again: `engine.due` lets them happen."""
    run = plan.scenario.run
    yield from (period for period in (run.epoch_ns, run.sample_ns) if period)
    yield from [host.paging.watermarks.every_ns] if host.paging and host.paging.watermarks else []
    for vm in (each.vm for each in host.vms):
        yield from [MILLISECOND] * (vm.boot is not None) + [MILLISECOND] * (vm.zero_thread > 0)
        yield from [vm.free_page_reporting.every_ns] if vm.free_page_reporting else []
        yield from [vm.balloon.poll_ns] if vm.balloon else []
        yield from [vm.page_cache.flush_every_ns] if vm.page_cache else []
        yield from [host.dirty_log.every_ns] if host.dirty_log else []


def _too_long(host: HostPlan, slices: int, steps: int, most_touches: int) -> str:
    cores = f"{host.cores} core{'s' * (host.cores != 1)}"
    return "\n".join(
        [
            f"host {host.name} may come to simulate {_drawn_out(host) // host.hz} s in which touches are waited for:",
            f"  {slices} slices of {cores}, and {steps} times that something is due (epochs, samples, drivers), each of"
            f" which counts as {SLICES_PER_STEP} slices; the limit is {most_touches}",
            "raise rates, shorten run.duration, take longer slices and epochs, sample and poll less often,"
            " or allow more with --limit-accesses",
        ]
    )


def _touches(host: HostPlan) -> str:
    if len(host.vcpus) == 1:
        return f"1 vCPU, {host.max_touches} touches"
    return f"{len(host.vcpus)} vCPUs, {host.max_touches} touches together"
