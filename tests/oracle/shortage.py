"""Whether an access or an event has the pages and frames that it takes, looked at before it begins."""

from __future__ import annotations

from vmcfg.scenario.spec import GuestEvent

from .memory import Memory, key
from .spaces import Process, View
from .vcpu import Vcpu


class Stopped(Exception):  # the field's word, and no error
    """Something could stop half-way for want of pages or frames: it has not begun."""

    def __init__(self, lacks: str) -> None:
        self.lacks = lacks  # pages | frames


def look_after(vcpu: Vcpu, view: View, vpn: int, is_store: bool) -> None:
    """Before the first walk of an access; raises Stopped."""
    pager, guest = vcpu.memory.pager, vcpu.memory.guest
    if vcpu.is_looked_after or not pager or not guest:
        return
    vcpu.is_looked_after = True
    is_short = pager.frames.free < pager.reserve
    if not is_short and vcpu.memory.free_pages >= guest.least:
        return
    pages, lacks_frame = _needs(vcpu, view, vpn, is_store)
    if guest.lacks(pages):
        raise Stopped("pages")
    if vcpu.shadow and vcpu.shadow.lacks_tables(vpn):
        lacks_frame = True
    if lacks_frame and is_short:
        pager.wanted = pager.reserve
        raise Stopped("frames")


def _needs(vcpu: Vcpu, view: View, vpn: int, is_store: bool) -> tuple[int, bool]:
    """Guest pages that an access takes at most, and whether it may take a frame."""
    spaces, memory = vcpu.spaces, vcpu.memory
    lacks_frame = spaces.table_ppn(view, spaces.levels, vpn) not in memory.pmap
    for level in range(spaces.levels, 0, -1):
        entry = spaces.entry(view, level, vpn)
        if entry is None:
            held = memory.shared.held.get(vpn)
            lacks_frame |= level > 1 or held is None or held not in memory.pmap
            return level - (held is not None), lacks_frame
        lacks_frame |= entry.target not in memory.pmap
    assert entry
    if is_store and not entry.writable and entry.target in memory.sharers and not memory.is_of_file(entry.target):
        return 1, True
    return 0, lacks_frame


def check_event(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """Before an event begins; raises Stopped. A bound settles it where there is plenty."""
    pager, guest, memory = vcpu.memory.pager, vcpu.memory.guest, vcpu.memory
    if not pager or not guest:
        return
    if event.kind == "power_off":
        return
    if event.file:
        _check_files(vcpu, event, nth)
        return
    most = _most_pages(vcpu, event)
    shadows = pager.reserve if vcpu.shadow else 0
    if event.kind == "reboot":
        first = memory.vm.kernel_pages
        unbacked = sum(ppn not in memory.pmap for ppn in range(first, first + most))
        _check_frames(vcpu, _frames_for(memory, unbacked, 0) + shadows)
        return
    frames = max(most + shadows, most * memory.host_levels)
    if most <= memory.free_pages and pager.frames.free >= frames:
        return
    pages, unbacked = _pages_to_fork(vcpu) if event.kind == "fork" else (0, 0)
    if guest.lacks(pages):
        raise Stopped("pages")
    _check_frames(vcpu, _frames_for(memory, unbacked, pages) + shadows)


def _check_frames(vcpu: Vcpu, wanted: int) -> None:
    pager = vcpu.memory.pager
    assert pager
    if pager.frames.free < wanted:
        pager.wanted = wanted
        raise Stopped("frames")


def promise(vcpu: Vcpu, event: GuestEvent | None) -> None:
    """While an event happens, as many frames as it may take are spared by what is read along; after it, None."""
    pager, memory = vcpu.memory.pager, vcpu.memory
    if not pager:
        return
    most = _most_pages(vcpu, event) if event else 0
    levels = range(2, memory.host_levels + 1)
    pager.promised = most + sum(min(most, (memory.vm.memory_pages - 1) // 512 ** (level - 1) + 1) for level in levels)


def _most_pages(vcpu: Vcpu, event: GuestEvent) -> int:
    """A bound: a fork makes as many tables as all have now, and two roots; an exec its roots; a reboot all."""
    if event.kind == "fork":
        return vcpu.spaces.table_pages() + 2
    if event.kind == "reboot":
        return vcpu.workload.processes * (1 + vcpu.spaces.has_kpti)
    return 1 + vcpu.spaces.has_kpti if event.kind == "exec" else 0


def _check_files(vcpu: Vcpu, event: GuestEvent, nth: int) -> None:
    """The same for one that goes through the page cache: no bound, a look at which pages are there."""
    pager, guest, memory = vcpu.memory.pager, vcpu.memory.guest, vcpu.memory
    assert pager and guest
    held = [guest.cache.cached.get(block) for block in guest.cache.blocks_of(event, nth)]
    missing = held.count(None)
    if guest.lacks(missing):
        raise Stopped("pages")
    _check_frames(vcpu, _frames_for(memory, sum(ppn is not None and ppn not in memory.pmap for ppn in held), missing))


def _frames_for(memory: Memory, unbacked: int, pages: int) -> int:
    """Frames that pages without one may take, with the host's tables, if so many of the guest's next free ones come."""
    following = [*reversed(memory.freed_ppns), *reversed(memory.free_ppns)][: max(0, pages)]
    unbacked += sum(ppn not in memory.pmap for ppn in following)
    return unbacked + sum(
        min(unbacked, (memory.vm.memory_pages - 1) // 512 ** (level - 1) + 1)
        for level in range(2, memory.host_levels + 1)
    )


def _pages_to_fork(vcpu: Vcpu) -> tuple[int, int]:
    """Pages that a fork takes on balance, and those without frames that a child gives back which ends for it."""
    spaces, parent = vcpu.spaces, vcpu.loaded
    if None in spaces.slots:
        return len(parent.space.table_ppns()), 0
    ending = spaces.oldest_child()
    assert ending
    memory = vcpu.memory
    own = [ppn for ppn in _present(ending) if ppn not in memory.sharers and not memory.is_of_file(ppn)]
    if ending is parent:
        parent = spaces.next_after(parent.slot) or parent
    freed = len(own) + len(ending.space.table_ppns())
    return len(parent.space.table_ppns()) - freed, sum(ppn not in vcpu.memory.pmap for ppn in own)


def _present(process: Process) -> list[int]:
    leaves = [entry for where, entry in process.space.tables.items() if where == key(1, where[1]) and where[0] == 1]
    return [entry.target for entry in leaves if entry.slot is None]
