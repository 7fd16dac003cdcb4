"""Processes that come, go and take turns: fork with copy on write, exec, exit, and switches."""

from __future__ import annotations

from dataclasses import replace

from vmcfg.scenario.spec import GuestEvent

from .faults import Kernel, write_leaf
from .flushes import forget_dead, load_cr3, reload_cr3
from .memory import Entry, key, page_count
from .shared_memory import free_if_last
from .spaces import Process, Space
from .vcpu import Vcpu

PART = "guest_cycles"


def change_process(vcpu: Vcpu, _event: GuestEvent | None = None, _nth: int = 0) -> None:
    """Loads the next one, if there is another."""
    other = vcpu.spaces.next_after(vcpu.loaded.slot)
    if other:
        vcpu.count("context_switches")
        vcpu.charge(PART, vcpu.costs["context_switch"])
        load_cr3(vcpu, other)


def fork(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    """A child of the loaded process; where no slot is free the oldest child ends for it."""
    spaces = vcpu.spaces
    if None not in spaces.slots:
        oldest = spaces.oldest_child()
        if oldest is None:
            return
        end(vcpu, oldest)
    parent = vcpu.loaded
    child = Process(spaces.slots.index(None), new_space(vcpu), spaces.forks)
    spaces.slots[child.slot] = child
    spaces.forks += 1
    for vpn, level, _ in parent.space.mappings():
        _share(vcpu, parent.space, child.space, vpn, level)
    reload_cr3(vcpu)
    vcpu.count("forks")


def _share(vcpu: Vcpu, parent: Space, child: Space, vpn: int, level: int) -> None:
    """Both may read the page, and who stores first will copy it, or its part of it; a file's is the same for both."""
    vcpu.count("guest_table_pages", vcpu.spaces.make_tables(child, vpn, Kernel(vcpu, PART), level))
    leaf = parent.tables[key(level, vpn)]
    if leaf.slot is not None:
        assert vcpu.memory.guest and vcpu.memory.guest.area
        vcpu.memory.guest.area.held[leaf.slot] += 1
        child.tables[key(level, vpn)] = replace(leaf)
        write_leaf(vcpu, child, vpn, PART, level)
        return
    is_of_file = vcpu.memory.is_of_file(leaf.target)
    if leaf.writable and not is_of_file:
        leaf.writable = False
        write_leaf(vcpu, parent, vpn, PART, level)
    child.tables[key(level, vpn)] = Entry(leaf.target, is_leaf=True, writable=is_of_file and leaf.writable)
    write_leaf(vcpu, child, vpn, PART, level)
    vcpu.memory.gain_sharer(leaf.target, page_count(level))
    vcpu.count("large_mapped", int(level > 1))


def execute(vcpu: Vcpu, _event: GuestEvent, _nth: int) -> None:
    """The loaded process begins anew in an empty space."""
    process = vcpu.loaded
    old, process.space = process.space, new_space(vcpu)
    reload_cr3(vcpu)
    tear_down(vcpu, old)
    free_roots(vcpu, old)


def end(vcpu: Vcpu, process: Process) -> None:
    """Frees what a process has; if it is loaded, the next one is loaded before its root goes."""
    tear_down(vcpu, process.space)
    vcpu.spaces.slots[process.slot] = None
    if process is vcpu.loaded:
        reload_cr3(vcpu)
        change_process(vcpu)
    else:
        forget_dead(vcpu, process.slot)
    free_roots(vcpu, process.space)
    vcpu.count("process_exits")


def tear_down(vcpu: Vcpu, space: Space) -> None:
    """Takes all leaves out of a space, ascending, then the tables below its roots; with the last, shared memory."""
    for vpn, level, _ in space.mappings():
        clear_leaf(vcpu, space, vpn, level)
    vcpu.spaces.free_tables(space, Kernel(vcpu, PART))
    free_if_last(vcpu, vcpu.memory.shared.vpns)


def clear_leaf(vcpu: Vcpu, space: Space, vpn: int, level: int) -> None:
    """Takes one leaf out, and gives back what it alone led to."""
    leaf = space.tables.pop(key(level, vpn))
    write_leaf(vcpu, space, vpn, PART, level)
    guest = vcpu.memory.guest
    if leaf.slot is not None:
        assert guest
        guest.release(vcpu, leaf.slot)
        return
    is_shared = leaf.target in vcpu.memory.sharers
    if guest:
        guest.cache.harvest(leaf)
    if is_shared or not vcpu.memory.is_of_file(leaf.target):
        vcpu.memory.release(leaf.target, page_count(level))
    if guest:
        guest.note_unmapped(space, vpn, leaf.target, is_shared)
    vcpu.count("large_unmapped", int(level > 1))


def new_space(vcpu: Vcpu) -> Space:
    """Roots, and nothing below."""
    space = vcpu.spaces.new_space(Kernel(vcpu, PART))
    vcpu.count("guest_table_pages", len(space.roots))
    return space


def free_roots(vcpu: Vcpu, space: Space) -> None:
    """The user's first."""
    for root in space.roots:
        Kernel(vcpu, PART).free_table(root.ppn)
