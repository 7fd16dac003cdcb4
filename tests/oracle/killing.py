"""A guest that is out of memory and may end a process of its own: which one goes, who leaves it, what comes free."""

from __future__ import annotations

from .flushes import forget_dead, forget_loaded
from .host_paging import ENOUGH, NO_QUOTA
from .memory import OutOfFramesError
from .processes import change_process, end, tear_down
from .spaces import Kill, Process
from .vcpu import Vcpu

WORKLOAD, BALLOON = "workload", "balloon"


def kill(vcpu: Vcpu, asked_by: str) -> bool:
    """Ends the largest process, at a vCPU's cost; tells whether who asked may try again."""
    spaces, memory = vcpu.spaces, vcpu.memory
    if vcpu.vm.oom != "kill" or spaces.is_empty:
        return False
    when, free = vcpu.core.clock, memory.free_pages
    if not _has_frames(vcpu, asked_by):
        return asked_by == WORKLOAD
    victim = max(spaces.living(), key=lambda process: (_pages_in_memory(process), -process.slot))
    if spaces.living() == [victim]:
        tear_down(vcpu, victim.space)
        forget_loaded(vcpu)
        spaces.is_empty = True
        vcpu.count("process_exits")
    else:
        for other in vcpu.siblings:
            if other.loaded is victim:
                _make_leave(vcpu, other)
        end(vcpu, victim)
        for other in vcpu.siblings:
            forget_dead(other, victim.slot)
    vcpu.count("kills")
    vcpu.count("killed_pages", memory.free_pages - free)
    spaces.kills.append(Kill(when, victim.slot + 1, memory.free_pages - free, asked_by))
    return True


def _make_leave(payer: Vcpu, vcpu: Vcpu) -> None:
    """A vCPU loads the next process, in the time of who makes it."""
    began = vcpu.core.clock
    change_process(vcpu)
    took, vcpu.core.clock = vcpu.core.clock - began, began
    payer.core.clock += took


def _pages_in_memory(process: Process) -> int:
    """Shared ones counted in full."""
    return sum(leaf.slot is None for _, _, leaf in process.space.mappings())


def _has_frames(vcpu: Vcpu, asked_by: str) -> bool:
    """Under shadow paging whoever is loaded instead takes frames, which the host may have to page out first."""
    host = vcpu.memory.pager
    assert host
    if not vcpu.shadow:
        return True
    wanted = host.reserve * (1 + sum(each.vm.vcpus for each in host.first))
    while host.frames.free < wanted:
        host.wanted = wanted
        made = host.free_for(vcpu, does_wait=asked_by == WORKLOAD)
        if made == NO_QUOTA:
            raise OutOfFramesError
        if made != ENOUGH:
            return False
    return True
