"""What a plan says of memory that is taken away: a part of `plan.show`."""

from __future__ import annotations

from collections.abc import Iterator

from vmcfg.plan.disks import cache_frames
from vmcfg.plan.model import HostPlan
from vmcfg.scenario.spec import GuestReclaim, HostPaging, Vm
from vmcfg.units import format_duration, format_share, format_size


def reclaim_of(host: HostPlan) -> Iterator[str]:
    """Say who takes memory away, and where it goes."""
    if host.paging:
        paging, area = host.paging, host.areas[0]
        by = _chosen_by(paging)
        by += f", of {paging.capacity_pages} pages at most" if paging.capacity_pages else ""
        yield (f"host paging: victims by {by}, {paging.batch_pages} at a time, "
               f"into {area.slots} slots on "
               f"{host.disks[area.disk].name}" + ", overwritten pages not read" * paging.has_preventer
               + ", pages of files dropped and read from guests' disks" * paging.has_mapper)
        if paging.watermarks:
            marks = paging.watermarks
            yield (f"paging ahead of need: once fewer than {marks.start_below_frames} frames are free, until "
                   f"{marks.stop_above_frames} are; looked for each {format_duration(marks.every_ns)}")
    for plan in host.vms if host.compression else ():
        assert plan.vm.compresses
        frames = cache_frames(host.compression, plan.vm.memory_pages)
        shares = format_share(plan.vm.compresses.quarter_ppm), format_share(plan.vm.compresses.half_ppm)
        yield (f"compression before the disk: {plan.vm.name} keeps up to {frames} frames, of its pages "
               f"{shares[0]} fit a quarter of one, {shares[1]} a half")
    for number, plan in enumerate(host.vms):
        own = plan.vm.reclaim
        if own:
            area = host.areas[1 + number]
            where = f"{area.slots} slots on {host.disks[area.disk].name}" if own.swap else "its files"
            by = _chosen_by(own)
            yield f"{plan.vm.name} pages below {own.keep_free_pages} free pages: victims by {by}, into {where}"
        for file in host.files:
            if file.vm == number:
                yield f"{plan.vm.name} has the file {file.name} of {file.pages} pages on {host.disks[file.disk].name}"
        if plan.vm.page_cache:
            cache = plan.vm.page_cache
            every, after = format_duration(cache.flush_every_ns), format_duration(cache.flush_after_ns)
            yield f"{plan.vm.name} reads {cache.read_ahead_pages} pages at once, writes them each {every} after {after}"
        yield from _unasked(plan.vm)
        if plan.vm.oom == "kill":
            yield f"{plan.vm.name} ends its largest process when it runs out of memory"
        if plan.vm.balloon:
            poll = format_duration(plan.vm.balloon.poll_ns)
            yield f"{plan.vm.name} has a balloon of up to {plan.vm.balloon.most_pages} pages, asked for each {poll}"


def _chosen_by(how: HostPaging | GuestReclaim) -> str:
    """Name a policy, and what it knows that no machine does: then what it reaches is a bound for real ones."""
    if not how.is_told:
        return how.victim
    return f"{how.victim} (bound), told of every access" + ", and of the next one of its page" * how.foresees


def _unasked(vm: Vm) -> Iterator[str]:
    """Say what a guest does with pages that nobody has asked for, and when its workload begins."""
    if vm.boot:
        what = f"zeroing all its memory at {format_size(vm.boot.zeroes)}/s, " if vm.boot.zeroes else ""
        yield f"{vm.name} boots first, {what}for {format_duration(vm.boot.duration_ns)} at least"
    if vm.free_page_reporting:
        how = vm.free_page_reporting
        yield f"{vm.name} reports up to {how.blocks} free blocks of 2MiB each {format_duration(how.every_ns)}"
    if vm.zero_thread:
        yield f"{vm.name} zeroes freed pages at {format_size(vm.zero_thread)}/s"
