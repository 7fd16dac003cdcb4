"""The state of one host: its arrays, their fields, and the bits in their entries.

One `Machine` holds everything that a run changes. Arrays are flat over all VMs of the host: guest page `ppn`
of a VM has the index `gpid = base[vm] + ppn`. In every per-page array 0 means absent, so that arrays come from
calloc and cost only what is touched. Only the VMM's verbs (`vmm.verbs`, `vmm.frames`) write pmap, frame state
and reference counts, and only `mmu` writes guest table entries.

A guest page-table entry (i64):

    63 | 62 ......... 40 | 39 .......... 12 | 11 .. 9 |    8    |   7   | 6 | 5 | 4 .. 2 | 1 | 0
       | child table     | ppn, swap slot   |         | IN_SWAP | LARGE | D | A |        | W | P

`child` is where the next table's 512 entries lie in `guests.tables`: a walk need not look it up by ppn.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.hardware.data_caches import DataCaches
from vmcfg.hardware.sets import Stores
from vmcfg.vmm.arrays import Compression, Files, Guests, Host, Paging, Shadow, Work

# --- bits of a guest page-table entry -------------------------------------------------------------------------
PRESENT = 1
WRITABLE = 2
ACCESSED = 1 << 5
DIRTY = 1 << 6
IN_SWAP = 1 << 8  # not present: the page is in the guest's swap area, in the slot that stands in place of the ppn
LARGE_PAGE = 1 << 7  # above level 1: maps a page of 2 MiB or 1 GiB, and leads to no table
PPN_SHIFT = 12
PPN_MASK = (1 << 28) - 1
CHILD_SHIFT = 40
MAX_TABLES = 1 << 23
TABLE_ENTRIES = 512

# --- an access, as it lies in a batch ----------------------------------------------------------------------------
#     63 ................. 19 | 18 .... 13 | 12 . 11 | 10 ..... 0
#              vpn            |    line    |  kind   |  process
VPN_SHIFT = 19  # at the top, so that one shift takes it out
VPN_MASK = (1 << 45) - 1
LINE_SHIFT = 13
KIND_SHIFT = 11
FETCH, LOAD, STORE = range(3)
AHEAD = 32  # places of the look-ahead: a power of two above its distance
HINTS = 64  # GiB of guest memory whose tables the look-ahead remembers
HINT_PROCESS_SHIFT = 40
BATCH = 2048  # accesses generated at once: 16 KiB per vCPU stay in the second-level cache

# --- a pmap entry (i64): all that the VMM knows of a guest page, in one word because a walk needs all of it ------
#     63 ............... 12 | 11 .. 7 | 6 | 5 |    4     | 3 | 2 .. 0
#  mpn, slot, cache place   |         | D | A | IS_TABLE |   |  kind
UNBACKED, PRIVATE, SWAPPED, COMPRESSED, BALLOONED = range(5)
KIND_MASK = 7
MPN_SHIFT = 12
IS_TABLE = 1 << 4  # holds a guest page table
HOST_ACCESSED = 1 << 5
HOST_DIRTY = 1 << 6
IS_TRACED = 1 << 7  # shadow paging: held a table, and the VMM still traps writes to it, until it sees that it must not
IS_TRACED_ONCE = 1 << 8  # the same, and one write will tell
CAME_ALONG = 1 << 9  # was paged in because a neighbour was needed, and nobody has been seen to use it since
WRITE_FLOOD = 3  # writes to a table without a use of it, after which the VMM stops following it: KVM's figure
LOG_ENTRIES = 512  # of a vCPU's log of modified pages

# --- an entry of the EPT above its lowest level (i32): 0 if absent, frame of the next table + 1, or a large page ------
#     31 | 30 .. 7 | 6 | 5 | 4 .. 0
#      1 |         | D | A |          its pages have neighbouring frames, which the pmap names, and these D and A
LARGE = -(1 << 31)
IN_PIECES = 1  # without an EPT (shadow paging): a block of which some page has a frame of its own, and no table for it

# --- kinds of machine frames (u8) -------------------------------------------------------------------------------
FRAME_FREE, FRAME_PRIVATE, FRAME_SHARED, FRAME_OVERHEAD, FRAME_RESERVED = range(5)
FRAME_KINDS = ("free", "private", "shared", "overhead", "reserved")

# --- fields ------------------------------------------------------------------------------------------------------
# host.counts: frames by kind stand first, in the order of FRAME_KINDS. FRESH: next never-used MPN. TOP, BLOCK_TOP:
# heights of the stacks of free frames and of free blocks. RESERVE: kept back for an access. WANTED: frames that must be
# free before what could not begin can. PROMISED: of the free ones, those that what is under way has yet to take.
# ASK_BELOW: with fewer free, an access asks first whether it can go on: RESERVE, or more than there are where not only
# frames may be short.
FRESH, TOP, RESERVE, TOTAL, BLOCK_TOP, WANTED, PROMISED, ASK_BELOW = range(5, 13)
HOST_FIELDS = 13

# guests.vm[vm, field].
# LEVELS: of its own page table, 0 without paging. HOST_LEVELS: of its EPT, 1 if that is flat, 0 without one. EPT_ROOT:
# the frame of its EPT's root, or the first of a flat one. HOST_LARGEST: the largest level that a host page can have,
# and up to which host.ept knows it. HOST_PAGE, HOST_TABLE_PAGE: the level of the EPT's leaf for
# data and for guest tables, 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB. TABLE_BLOCK: pages of the ranges that guest tables
# have for themselves, 0 if they lie among the data; TABLE_NEXT, TABLE_END: what is left of the newest such range;
# CEILING: where the lowest of them begins. GUEST_PAGE: the level of its own leaves, as HOST_PAGE. EPT + level: where
# its entries of that level, from 2, begin in host.ept.
# GUEST_TOP, GUEST_BLOCK_TOP: heights of the stacks of free pages and of free blocks. LARGE_AT_START: large pages that
# it had mapped before the run.
# INDEX_BITS: of a page number that select an entry of one of its own tables.
# PCIDS: address spaces whose translations each vCPU keeps, 0 where they have no tags.
# KERNEL_PAGES: of its kernel's memory, if anybody accesses that. KERNEL_ENTRY: of a root, leads to the kernel's tables.
# SLOTS: processes that it can have at once. LEFT: the row for the address space that an exec leaves behind.
BASE, PAGES, GUEST_FREE, GUEST_FRESH, GUEST_TOP, ZEROES, LEVELS, HOST_LEVELS, EPT_ROOT = range(9)
HOST_PAGE, HOST_TABLE_PAGE, TABLE_BLOCK, TABLE_NEXT, TABLE_END, CEILING, GUEST_PAGE, EPT = range(9, 17)
(FIRST_PROCESS, SLOTS, LEFT, FORKED, HAS_KPTI, PCIDS) = range(EPT + 6, EPT + 12)
(KERNEL_PAGES, KERNEL_ENTRY, GLOBAL_SPACE, TABLE_PAGES, GUEST_BLOCK_TOP, LARGE_AT_START) = range(EPT + 12, EPT + 18)
INDEX_BITS, HOST_LARGEST = range(EPT + 18, EPT + 20)
# GUEST_MIN: free pages below which a miss may run short of them. PINNED: pages of its kernel, which nobody pages out.
# FIRST_VCPU: to whose phase belongs what happens to the VM without its doing. RECLAIMS: whether the guest does;
# GUEST_WANTED: pages that must be free in it before what could not begin can. KILLS: whether it ends a process of its
# own when it runs out of memory.
# BALLOON_PAGES: in its balloon; BALLOON_RATE: by how many it grows at the guest's cost; BALLOON_SLEEPS: until when its
# driver waits for such pages. IS_POPPED: by the host, and its driver does not know yet. IS_EMPTY: its last process has
# been killed.
# FORESEEN: where the times of its next accesses begin in paging.next_uses. TOLD: its own replacement policy is told of
# every access, IN_ORDER or AHEAD (see `vmm.paging`); TOLD_WHEN: what it is told of the last one.
# ZEROED: how many of its freed pages, from the bottom of their stack, its kernel's thread has zeroed.
# IS_OFF: it has been powered off. AT_START: processes that it has at the start. BOOT_CYCLES: how long a reboot takes;
# DOWN_UNTIL: when the last one ends.
GUEST_MIN, PINNED, FIRST_VCPU, RECLAIMS, GUEST_WANTED = range(EPT + 20, EPT + 25)
BALLOON_PAGES, BALLOON_RATE, IS_POPPED, KILLS, IS_EMPTY, ZEROED, FORESEEN = range(EPT + 25, EPT + 32)
IS_OFF, AT_START, BOOT_CYCLES, DOWN_UNTIL, TOLD, TOLD_WHEN, BALLOON_SLEEPS = range(EPT + 32, EPT + 39)
VM_FIELDS = EPT + 39

# guests.process[process, field]. ROOT_FRAMES, VIEW_FRAMES: taken by the violations of its roots, still to be charged.
# With KPTI the kernel's view has a root and an address space of its own; without, its
# space is that of the VM's global pages. BORN: 0 for one that was there from the start, else which fork of the VM.
PROCESS_VM, ROOT_TABLE, ROOT_PPN, KERNEL_ROOT_TABLE, KERNEL_ROOT_PPN, KERNEL_SPACE, IS_LIVE, BORN = range(8)
ROOT_FRAMES, VIEW_FRAMES = range(8, 10)
PROCESS_FIELDS = 10

# vcpu[vcpu, field]; `retired` counts touches, and is the index of the next touch in the vCPU's stream.
(
    VM,
    PROCESS,
    ORDINAL,  # its number within the VM
    STATUS,
    WAKE,  # when it becomes runnable
    READY_SINCE,
    FIRST_ROW,  # the VM's counters in the warm-up; later phases follow
    ROW,  # its counters now
    FIRST_MARK,  # its times in the warm-up, a row of `marks`; later phases follow
    MARK,  # its times now
    FIRST_PHASE,  # row of `work.phases`
    PHASE,
    LAST_PHASE,
    RETIRED,
    PHASE_FIRST,  # `retired` when the phase began
    PHASE_END,  # `retired` at which it ends
    DEADLINE,  # clock at which it ends
    DUE,  # paced: when the next touch is due
    DUE_REMAINDER,
    IS_WARM,  # still warming up
    WARM_TOUCHES,  # `retired` at which the warm-up ends
    WARM_DEADLINE,  # clock at which it ends
    RUN_TOUCHES,  # touches after the warm-up
    LAST_RETIRED,  # `retired` at which its work ends
    BUFFERED,  # accesses in its buffer
    NEXT,  # the first of them not yet retired
    CARRY,  # walk cycles not yet charged, fewer than the walkers
    IS_WALK_HEAVY,  # the last stretch had many walks: look ahead
    LOG_INDEX,  # of its log of modified pages: where the next goes, -1 when it is full
    EVENT_TOUCH,  # `retired` after which the guest's kernel has something to do
    EVENT_TIME,  # likewise: after the first touch that ends then, or later
    KERNEL_NEXT,  # accesses to the kernel's memory so far
    PCID_NEXT,  # the place that the next new address space takes
    QUEUED,  # updates of page tables that wait for a hypercall
    UNCHECKED,  # entries that this will have to check
    REFILLED,  # the page whose TLB miss has just been answered, plus one
    SHADOW_ROOT,  # the root of its shadow table
    TARGET_NEXT,  # the place among the CR3 targets that the next new root takes
    FAULTING_STORE,  # the fault that its guest handles just now is of a store
    IN_KERNEL,  # its guest runs in the kernel's view of the loaded process
    WAITS_UNTIL,  # when the last device that it has asked is done: past, if it waits for none
    SPENT,  # cycles that the VMM has worked for it, to be charged with its next exit
) = range(42)
VCPU_FIELDS = 42
WAITING, READY, FINISHED = range(3)  # STATUS
UNLIMITED = 1 << 62

# core[core, field]
CLOCK, LAST_RUN, HEAD, HELD_SINCE, QUEUED, IS_STOPPED = range(6)  # IS_STOPPED: inside its head's turn
CORE_FIELDS = 6
NOBODY = -1

# sched[field]
NOW, SLICE_CYCLES, TURN, QUANTUM, RUN_END, UNFINISHED, CORES, VCPUS = range(8)  # NOW: start of the current slice
STEPS, MOST_STEPS = 8, 9  # how much has been done for time to pass, in slices of one core; how much may be
SCHED_FIELDS = 10

# marks[row, field]: clock at the start of a vCPU's phase and at its last retirement
STARTED, ENDED = range(2)

# cost[field], in cycles; then what the processor can do.
COSTS = (
    "access", "l2_tlb_hit", "walk_reference", "walk_cache_hit", "nested_tlb_hit", "exit",
    "ept_violation", "zero_page", "guest_fault", "gpt_write", "invlpg", "invept",
    "syscall", "context_switch", "cr3_load", "copy_page", "ipi",
    "true_fault", "hidden_fault", "trace_fault", "shadow_cr3_load", "shadow_invlpg",
    "hypercall", "validate_entry", "tlb_refill", "guest_refill", "software_tlb_hit", "pml_full",
    "compress_page", "decompress_page",
)  # fmt: skip
(ACCESS, L2_HIT, WALK_REFERENCE, WALK_CACHE_HIT, NESTED_TLB_HIT, EXIT) = range(6)
(EPT_VIOLATION, ZERO_PAGE, GUEST_FAULT, GPT_WRITE, INVLPG, INVEPT) = range(6, 12)
(SYSCALL, CONTEXT_SWITCH, CR3_LOAD, COPY_PAGE, IPI) = range(12, 17)
(TRUE_FAULT, HIDDEN_FAULT, TRACE_FAULT, SHADOW_CR3_LOAD, SHADOW_INVLPG) = range(17, 22)
(HYPERCALL, VALIDATE_ENTRY, TLB_REFILL, GUEST_REFILL, SOFTWARE_TLB_HIT, PML_FULL) = range(22, 28)
COMPRESS_PAGE, DECOMPRESS_PAGE = range(28, 30)
WALKERS_LOG2, HAS_VPID, HAS_EPT_AD, HZ, MODE, IS_LEAN, HAS_DATA_CACHES = range(30, 37)
NESTED_TLB_HOLDS_DATA, LOGGING, HAS_LARGE_PAGES, BATCH_UPDATES, PINS = range(37, 42)
SHADOW_VARIANT, INSTALLS, BYPASSES, CR3_TARGETS, UNSYNC_SLOTS, TABLE_NODES, HAS_ROUNDS = range(42, 49)
HAS_TLB, HOMES = range(49, 51)
# LOGGING: how it comes to be known which pages are modified, see `vmm.dirty_log`; HAS_ROUNDS: the VMM asks for it.
# TABLE_NODES: runs of 512 entries that each guest table of the host takes in guests.tables, 2 if any has 1,024 entries.
COST_FIELDS = HOMES + 4  # the stores for TLB entries of 2 MiB and 1 GiB, in the first level and in the second

# cost[MODE]: how addresses are translated.
NATIVE, NESTED, SHADOW, PARAVIRT, SOFTWARE_TLB = range(5)

PAE_LEVELS = 3  # of a table whose root is not walked: its four entries are in registers
USUAL_LEVELS = 4  # of both tables: lean loops take it as given, and the compiler unrolls their walks
BLOCK_LEVEL = 2  # free frames, and free pages of guests, are kept by blocks of 2 MiB too


class Machine(NamedTuple):
    """One host, whole.

    vcpu     i64[vcpus, VCPU_FIELDS]     core   i64[cores, CORE_FIELDS]    queue  i32[cores, vcpus]
    sched    i64[SCHED_FIELDS]           marks  i64[vcpus × rows, 2]
    counters i64[rows, COLUMNS]          digest u64[subsystems]            cost   i64[COST_FIELDS]
    sizes    i64[rows, SIZED], no rows where all pages are of 4 KiB
    answers  i64[ANSWERS], asked i64[ASKED_FIELDS]: of this process alone, see `engine.answers`
    """

    stores: Stores
    data_caches: DataCaches
    guests: Guests
    host: Host
    shadow: Shadow
    paging: Paging
    files: Files
    compression: Compression
    work: Work
    vcpu: np.ndarray
    core: np.ndarray
    queue: np.ndarray
    sched: np.ndarray
    marks: np.ndarray
    counters: np.ndarray
    sizes: np.ndarray
    digest: np.ndarray
    cost: np.ndarray
    answers: np.ndarray
    asked: np.ndarray
