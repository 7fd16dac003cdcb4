"""What a plan says of memory that is taken away: a part of `plan.show`."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.plan.model import HostPlan
from vmcfg.units import format_duration


def reclaim_of(host: HostPlan) -> Iterator[str]:
    """Say who takes memory away, and where it goes."""
    if host.paging:
        paging, area = host.paging, host.areas[0]
        yield (f"host paging: victims by {paging.victim}, {paging.batch_pages} at a time, into {area.slots} slots on "
               f"{host.disks[area.disk].name}" + ", overwritten pages not read" * paging.has_preventer)
    for number, plan in enumerate(host.vms):
        own = plan.vm.reclaim
        if own:
            area = host.areas[1 + number]
            where = f"{area.slots} slots on {host.disks[area.disk].name}" if own.swap else "its files"
            yield f"{plan.vm.name} pages below {own.keep_free_pages} free pages: victims by {own.victim}, into {where}"
        for file in host.files:
            if file.vm == number:
                yield f"{plan.vm.name} has the file {file.name} of {file.pages} pages on {host.disks[file.disk].name}"
        if plan.vm.page_cache:
            cache = plan.vm.page_cache
            every, after = format_duration(cache.flush_every_ns), format_duration(cache.flush_after_ns)
            yield f"{plan.vm.name} reads {cache.read_ahead_pages} pages at once, writes them each {every} after {after}"
        if plan.vm.balloon:
            poll = format_duration(plan.vm.balloon.poll_ns)
            yield f"{plan.vm.name} has a balloon of up to {plan.vm.balloon.most_pages} pages, asked for each {poll}"
