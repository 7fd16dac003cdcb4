"""`paravirt`: the guest knows that it has a VMM, and asks it to write page tables (Xen's direct paging).

Who keeps which table: the guest its own, and hardware walks it. Entries lead to machine frames, so that a TLB miss
costs what it costs on bare metal. What is write-protected: every table that hardware could come to walk, for a guest
that could write there could map any frame of the machine. So the VMM knows of each page of a table that it is one: it
has the type of its level, which it keeps as long as a table of the level above, CR3 or a pin refers to it, and nothing
may be mapped writable that has such a type. A page gets the type by a check of all of its 512 entries.

What exits: an update of an entry of such a table goes by hypercall, `mmu_update`. One call takes a batch of updates:

    store, store, …, store → full, or somebody is about to depend on them → exit, check each, re-enter

Updates cannot wait for longer than until the TLB is flushed, CR3 is loaded, or the guest returns to its program: what
is queued goes along with those calls. Entries of a table that nobody refers to yet are stores like any others, and a
fork fills the child's tables so. Loads of CR3, flushes and INVLPG are hypercalls too, and page faults go to the VMM,
which bounces them to the guest. There is no hidden fault, no violation, and no TLB flush on exits.

What it costs: a pinned root has been checked when it was pinned, and is loaded at no further cost. A root that is not
pinned is checked whole, with all tables below it, whenever a load of CR3 makes it live. It wins where misses are many
and tables change in bulk; it loses where they change entry by entry, and needs a guest that was ported.

Here the tables' entries hold guest pages, as in all modes: the guest's memory is backed from the start by one run of
frames, so that frames follow from pages by an addition, and the walk is that of `native`. That a guest's kernel has a
writable mapping of its tables' pages to give up first, and that giving up a type is work too, is left out. Guests map
pages of 4 KiB only, as under Xen: a larger one would need neighbouring frames, and each of its pages' types checked.

Source: Barham et al., Xen and the art of virtualization, SOSP 2003; Xen's public header xen.h.
"""

from __future__ import annotations

import numpy as np

from vmcfg.jit import kernel, part
from vmcfg.metrics.events import Event, Exit
from vmcfg.vmm import machine as at
from vmcfg.vmm.verbs import vm_exit

PLACES = 1024  # above the entries of a table


@part
def bounce(m, core, vcpu):
    """Let a page fault reach the guest by way of the VMM; return the cycles."""
    return vm_exit(m, core, vcpu, Exit.TRUE_FAULT, m.cost[at.TRUE_FAULT])


@part
def update(m, core, vcpu, slot, entry):
    """Let the guest write an entry: by a queued update if the table has a type. Return the cycles of the VMM."""
    table = slot // at.TABLE_ENTRIES
    level = m.guests.types[table]
    before = m.guests.tables[slot]
    m.guests.tables[slot] = entry
    if level == 0:
        return np.int64(0)
    if level > 1 and before & at.PRESENT:
        _refer(m, np.int64(at.NOBODY), before >> at.CHILD_SHIFT, level - 1, False)
    if level > 1 and entry & at.PRESENT:
        _refer(m, vcpu, entry >> at.CHILD_SHIFT, level - 1, True)
    m.counters[m.vcpu[vcpu, at.ROW], Event.MMU_UPDATES] += 1
    _check_entries(m, vcpu, 1)
    m.vcpu[vcpu, at.QUEUED] += 1
    if m.vcpu[vcpu, at.QUEUED] == m.cost[at.BATCH_UPDATES]:
        return hypercall(m, core, vcpu)
    return np.int64(0)


@part
def flush_queue(m, core, vcpu):
    """Hand over the updates that are queued, if there are any: somebody is about to depend on them."""
    if m.vcpu[vcpu, at.QUEUED]:
        return hypercall(m, core, vcpu)
    return np.int64(0)


@part
def hypercall(m, core, vcpu):
    """Call the VMM for whatever is asked of it, and let it check what has been queued; return the cycles."""
    checking = m.vcpu[vcpu, at.UNCHECKED] * m.cost[at.VALIDATE_ENTRY]
    m.vcpu[vcpu, at.QUEUED] = 0
    m.vcpu[vcpu, at.UNCHECKED] = 0
    return vm_exit(m, core, vcpu, Exit.HYPERCALL, m.cost[at.HYPERCALL] + checking)


@part
def load_root(m, core, vcpu, before, process):
    """Load CR3 of another process (NEW_BASEPTR): roots that are not pinned are live only while they are loaded."""
    if m.cost[at.PINS] == 0 and before != process:
        acquire(m, vcpu, process)
        release(m, before)
    return hypercall(m, core, vcpu)


@part
def pin(m, core, vcpu, process):
    """Pin the roots of a process, if roots are pinned; return the cycles."""
    if m.cost[at.PINS] == 0:
        return np.int64(0)
    acquire(m, vcpu, process)
    return hypercall(m, core, vcpu)


@part
def unpin(m, core, vcpu, process):
    """Give the pins of a process's roots up, if roots are pinned; return the cycles."""
    if m.cost[at.PINS] == 0:
        return np.int64(0)
    release(m, process)
    return hypercall(m, core, vcpu)


@part
def acquire(m, vcpu, process):
    """Refer to the roots of a process: tables that get their type by this are checked. Before the run, by NOBODY."""
    p = m.guests.process
    levels = m.guests.vm[p[process, at.PROCESS_VM], at.LEVELS]
    _refer(m, vcpu, p[process, at.ROOT_TABLE], levels, True)
    if p[process, at.KERNEL_ROOT_TABLE] != p[process, at.ROOT_TABLE]:
        _refer(m, vcpu, p[process, at.KERNEL_ROOT_TABLE], levels, True)


@part
def release(m, process):
    """Refer to the roots of a process no longer: tables that nobody refers to any more lose their type."""
    p = m.guests.process
    levels = m.guests.vm[p[process, at.PROCESS_VM], at.LEVELS]
    _refer(m, np.int64(at.NOBODY), p[process, at.ROOT_TABLE], levels, False)
    if p[process, at.KERNEL_ROOT_TABLE] != p[process, at.ROOT_TABLE]:
        _refer(m, np.int64(at.NOBODY), p[process, at.KERNEL_ROOT_TABLE], levels, False)


@part
def _refer(m, vcpu, root, levels, is_more):
    """Refer to a table of some level once more or once less; if that changes its type, to those below it likewise.

    `path` keeps, level by level, the table on the way down and the entry to go on with.
    """
    if not _changes_type(m, vcpu, root, levels, is_more) or levels == 1:
        return
    path = m.guests.path
    level = np.int64(levels)
    path[level] = root * PLACES
    while level <= levels:
        place = path[level] % PLACES
        if place == at.TABLE_ENTRIES:
            level += 1
            continue
        entry = m.guests.tables[path[level] // PLACES * at.TABLE_ENTRIES + place]
        path[level] += 1
        if entry & at.PRESENT:
            child = entry >> at.CHILD_SHIFT
            if _changes_type(m, vcpu, child, level - 1, is_more) and level > 2:
                level -= 1
                path[level] = child * PLACES


@kernel
def _changes_type(m, vcpu, table, level, is_more):
    """Count a reference to a table, or one less; tell whether that gives it its type, by a check, or takes it."""
    m.guests.referrers[table] += 1 if is_more else -1
    assert m.guests.referrers[table] >= 0
    if m.guests.referrers[table] != is_more:
        return False
    m.guests.types[table] = level * is_more
    if vcpu >= 0:
        m.counters[m.vcpu[vcpu, at.ROW], Event.TABLES_VALIDATED] += 1
        _check_entries(m, vcpu, at.TABLE_ENTRIES)
    return True


@kernel
def _check_entries(m, vcpu, entries):
    """Leave so many entries for the next hypercall to check."""
    m.counters[m.vcpu[vcpu, at.ROW], Event.VALIDATED_ENTRIES] += entries
    m.vcpu[vcpu, at.UNCHECKED] += entries
