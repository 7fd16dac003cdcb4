"""Every counter of the machine, with its definition.

A counter is one column of `counters i64[row, event]`, where a row is one phase of one VM (phase 0 is the
warm-up). The order here is the order of the array: the kernels use the integers, tables the names.
"""

from __future__ import annotations

from enum import IntEnum


class Event(IntEnum):
    """What is counted; the sums that tie them together are in `metrics.checks`."""

    TOUCHES = 0  # touches retired
    ACCESSES = 1  # touches × accesses_per_touch
    L1_HITS = 2  # accesses whose lookup ended in the first-level TLB
    STLB_HITS = 3  # accesses that missed there and hit the second-level TLB
    WALKS = 4  # completed walks of accesses that missed both
    GUEST_REFS = 5  # references of those walks that read a guest table
    HOST_REFS = 6  # references of those walks that read a host table
    WALK_REFS = 7  # references of those walks, counted once more by the walker itself
    FAULT_REFS = 8  # references of walks that ended in a fault
    DIRTY_WALKS = 9  # walks made by a store that hit an entry without D
    DIRTY_REFS = 10  # their references
    GUEST_WALK_CACHE_HITS = 11  # probes that skipped guest levels
    HOST_WALK_CACHE_HITS = 12  # probes that skipped host levels
    NESTED_TLB_HITS = 13  # probes that replaced a whole host walk
    WALK_CYCLES = 14  # cycles of all walks, before they are divided by the walkers
    BASE_CYCLES = 15  # charged: accesses × cost of an access that hits everywhere
    TLB_CYCLES = 16  # charged: second-level hits
    WALK_CHARGED_CYCLES = 17  # charged: walk cycles ÷ walkers, remainder carried
    EXIT_CYCLES = 18  # charged: leaving and re-entering the guest, and what the VMM did meanwhile
    GUEST_FAULT_CYCLES = 19  # charged: the guest's own page-fault handler
    FLUSH_CYCLES = 20  # charged: invalidations that had to be executed
    PACE_CYCLES = 21  # executing between paced touches, on pages already held
    READY_CYCLES = 22  # runnable, waiting for the core
    DROPPED_CYCLES = 23  # schedule given up by a vCPU more than a second late
    GUEST_FAULTS = 24  # page faults that the guest handled
    GUEST_TABLE_PAGES = 25  # guest page-table pages made, roots included
    GPT_WRITES = 26  # writes of guest page-table entries by the guest
    VCPU_SWITCHES = 27  # times the core was given to this vCPU after another
    GUEST_CYCLES = 28  # charged: the guest kernel's own work besides page faults
    SYSTEM_CALLS = 29  # system calls, also those that change the address space
    KERNEL_ACCESSES = 30  # accesses that system calls made to the kernel's memory; ACCESSES holds them too
    CONTEXT_SWITCHES = 31  # switches from one process of the guest to another
    CR3_LOADS = 32  # loads of CR3, for whatever reason
    INVLPGS = 33  # pages that the guest invalidated one by one, on whatever core
    SHOOTDOWNS = 34  # interrupts sent to other vCPUs to make them invalidate
    COW_FAULTS = 35  # guest faults of stores to pages that processes share: copied
    WRITE_FAULTS = 36  # guest faults of stores to pages of one process without W: made writable
    FORKS = 37  # processes made
    PROCESS_EXITS = 38  # processes that ended
    TABLE_PAGES_FREED = 39  # guest page-table pages given back, roots included
    PAGES_LOGGED = 40  # times D was set in the host's table, and the page logged, or its write protection lifted
    MMU_UPDATES = 41  # of GPT_WRITES those that went by hypercall
    TABLES_VALIDATED = 42  # guest tables that the VMM checked whole
    VALIDATED_ENTRIES = 43  # entries that the VMM checked, by tables and one by one
    SOFTWARE_TLB_HITS = 44  # misses that the VMM answered out of its own TLB
    BLOCKED_CYCLES = 45  # waiting for a device
    HOST_PAGE_OUTS = 46  # guest pages that the host paged out
    HOST_PAGE_INS = 47  # guest pages that it paged in because they were needed
    HOST_READ_AHEAD = 48  # guest pages that came along, neighbours in its swap area
    FALSE_READS = 49  # of the pages needed: those read only to be overwritten as a whole by the guest's processor
    PREVENTED_READS = 50  # of the pages needed: those that were not read, as they were overwritten as a whole
    MAJOR_FAULTS = 51  # page faults of the guest that waited for its own device
    GUEST_PAGE_OUTS = 52  # pages that the guest wrote to its own swap area
    GUEST_PAGE_INS = 53  # pages that it read from there
    DOUBLE_PAGE_OUTS = 54  # of the pages written: those that the host had paged out before, and had to read for it
    DOUBLE_PAGE_INS = 55  # of the pages read: those for which the memory that they were read into was paged out
    STALE_READS = 56  # of the pages that the host paged in: those read only to be overwritten as a whole by a device
    GUEST_SLOTS_FREED = 57  # slots of the guest's swap area given back
    BALLOON_INFLATED = 58  # pages that the guest put into its balloon
    BALLOON_DEFLATED = 59  # pages that it took back
    BALLOON_FRAMES_WON = 60  # of the pages put in: those that had a frame
    BALLOON_POPS = 61  # times that the host gave the balloon up, because the guest touched it or was reset
    HOST_SLOTS_DROPPED = 62  # slots of the host's swap area given back unread: the page is ballooned, or its VM off
    LOG_ENTRIES_READ = 63  # entries of logs of modified pages that the VMM read when it asked
    PAGES_MARKED = 64  # pages that the VMM knew to be modified otherwise than by the log or write protection
    PAGES_COLLECTED = 65  # modified pages that the VMM found when it asked, in all rounds
    INVVPIDS_ADDRESS = 66  # INVVPIDs of type 0, one address, that the VMM executed
    INVVPIDS_CONTEXT = 67  # INVVPIDs of type 1, one VPID, that the VMM executed
    INVEPTS = 68  # INVEPTs of one EPT that the VMM executed, each on one core
    CACHE_LOOKUPS = 69  # pages of files that were looked for in the guest's page cache: to read, write or map them
    CACHE_HITS = 70  # of these: those that were there
    CACHE_MISSES = 71  # of these: those that were not
    FILE_PAGES_READ = 72  # pages that the guest read from files
    FILE_READ_AHEAD = 73  # of these: those that nobody had asked for yet
    FILE_PAGES_WRITTEN = 74  # dirty pages that the guest wrote to files
    CACHE_DROPS = 75  # pages that left the page cache
    FILE_FAULTS = 76  # page faults of the guest on pages of files
    FILE_MAJOR_FAULTS = 77  # of these, and of MAJOR_FAULTS: those that had to be read
    KILLS = 78  # processes that a guest ended because it had run out of memory
    KILLED_PAGES = 79  # guest pages that came free by that, page tables included
    BOOT_ZEROED_PAGES = 80  # guest pages that a guest zeroed before its workload began
    FREED_ZEROED_PAGES = 81  # free guest pages that a thread of its kernel zeroed after they had been freed
    REPORTED_PAGES = 82  # free guest pages that the guest reported to its host, in blocks
    REPORT_FRAMES_WON = 83  # of these: those that had a frame
    SILENT_WRITES = 84  # pages that the host paged out with a write, although they equal a block of the guest's disk
    IMAGE_DROPS = 85  # such pages that it paged out without a write, as it knew of that
    IMAGE_PAGE_INS = 86  # of the pages needed: those that it read from the guest's disk
    HOST_FILE_PAGE_OUTS = 87  # of the pages that the host paged out: those in the guest's page cache
    READ_AHEAD_UNUSED = 88  # pages that came along and went again, or were overwritten, before anybody used them
    COMPRESSIONS = 89  # pages put into the compression cache
    COMPRESS_REJECTED = 90  # pages compressed in vain: too little, or nothing could make room for them
    DECOMPRESSIONS = 91  # pages taken out of the cache because they were needed
    COMPRESSED_EVICTED = 92  # pages that left it for the host's swap area, the oldest first
    COMPRESSED_DROPPED = 93  # pages in it that nobody wanted any more: ballooned, or overwritten as a whole
    PAGED_AHEAD = 94  # of the pages that the host paged out: those that went before anybody needed their frames


class Exit(IntEnum):
    """Why the VMM got control; each has a count and its cycles."""

    EPT_VIOLATION_DATA = 0  # a guest data page without a frame was accessed
    EPT_VIOLATION_TABLE = 1  # the same for a page that holds a guest page table
    VCPU_SWITCH = 2  # the VMM gave the core to another vCPU
    PML_FULL = 3  # A or D had to be set in the host's table, and the log of modified pages was full
    TRUE_FAULT = 4  # a page fault that is the guest's own, and goes to it by way of the VMM
    HYPERCALL = 5  # the guest asked the VMM for something
    TLB_MISS = 6  # a miss of a software-managed TLB
    TLB_REFILL = 7  # the guest wrote an entry of a software-managed TLB
    CR3_LOAD = 8  # the guest loaded CR3, or what its processor has in place of it
    INVLPG = 9  # the guest invalidated a page
    HIDDEN_FAULT = 10  # the guest allows the access, the shadow table did not yet: filled
    TRACE_FAULT = 11  # a write to a guest page table that is write-protected: emulated
    PROMOTION = 12  # the VMM put a large page in place of small ones
    SWAP_IN = 13  # a guest page that the host had paged out was needed
    RECLAIM = 14  # frames ran out, and the VMM paged out a batch of guest pages
    BALLOON = 15  # the guest's balloon driver gave pages away
    BALLOON_POP = 16  # the guest touched a page of its balloon
    WRITE_PROTECTED = 17  # a page was written that is write-protected, so that the VMM knows of the write
    DIRTY_LOG = 18  # the VMM asked which pages had been modified
    FREE_PAGE_REPORT = 19  # the guest reported blocks of free pages
    DECOMPRESS = 20  # a guest page that lay in the compression cache was needed
    POWER = 21  # the guest was powered off, or reset to boot again


class Found(IntEnum):
    """Where references of page walks were found, on hosts that model data caches; each reference counts once.

    They count the references of all walks: complete ones, those that ended in a fault, and dirty walks. They are
    columns of an array of their own, `data_caches.counts i64[row, found]`, so that hosts without data caches have none.
    """

    L1_REFS = 0  # in the core's first-level data cache
    L2_REFS = 1  # missed there, found in the core's second level
    LLC_REFS = 2  # missed there too, found in the last level, which the host's cores share
    MEMORY_REFS = 3  # missed in all levels


class Sized(IntEnum):
    """What is counted by the size of pages, on hosts where any page may be larger than 4 KiB.

    Columns of an array of their own, `sizes i64[row, sized]`, so that other hosts have none.
    """

    BACKED_4K = 0  # EPT violations answered with a host page of 4 KiB
    BACKED_2M = 1  # with one of 2 MiB
    BACKED_1G = 2  # with one of 1 GiB
    BACKED_SMALLER = 3  # with a smaller one than the host is asked for
    MAPPED_4K = 4  # page faults of the guest answered with a page of 4 KiB
    MAPPED_2M = 5  # with one of 2 MiB
    MAPPED_1G = 6  # with one of 1 GiB
    MAPPED_SMALLER = 7  # with a smaller one than the guest wants
    FILLED_4K = 8  # completed walks that filled a TLB entry of 4 KiB
    FILLED_2M = 9  # one of 2 MiB
    FILLED_1G = 10  # one of 1 GiB
    FILLED_SPLINTERED = 11  # one that is smaller than the guest's page
    LARGE_MAPPED = 12  # large pages mapped by the guest's kernel otherwise than at a fault: mmap, fork, parts of 1 GiB
    LARGE_UNMAPPED = 13  # large pages that it unmapped whole
    GUEST_SPLITS = 14  # large pages that it split, into 512 of the next smaller size
    RANGES_SCANNED = 15  # ranges of 2 MiB that it looked at, to put a large page in place of small ones
    COLLAPSED = 16  # ranges in which it did
    COLLAPSE_COPIED = 17  # pages that it copied for that
    COLLAPSE_ADDED = 18  # pages that had been absent, and came along
    BLOCKS_SCANNED = 19  # blocks of 2 MiB that the VMM looked at, to put a large host page behind them
    PROMOTED = 20  # blocks behind which it did
    PROMOTE_COPIED = 21  # pages that it copied for that
    PROMOTE_ADDED = 22  # pages that had had no frame, and came along


EVENTS = len(Event)
EXITS = len(Exit)
EXIT_COUNT = EVENTS  # columns EXIT_COUNT + reason: how often
EXIT_CYCLES_BY_REASON = EVENTS + EXITS  # columns EXIT_CYCLES_BY_REASON + reason: their cycles
COLUMNS = EVENTS + 2 * EXITS

MODE_EXITS = {
    "native": (),
    "nested": (Exit.EPT_VIOLATION_DATA, Exit.EPT_VIOLATION_TABLE, Exit.VCPU_SWITCH),
    "shadow": (
        Exit.TRUE_FAULT,
        Exit.HIDDEN_FAULT,
        Exit.TRACE_FAULT,
        Exit.CR3_LOAD,
        Exit.INVLPG,
        Exit.VCPU_SWITCH,
    ),
    "paravirt": (Exit.TRUE_FAULT, Exit.HYPERCALL, Exit.VCPU_SWITCH),
    "software_tlb": (Exit.TLB_MISS, Exit.TLB_REFILL, Exit.CR3_LOAD, Exit.INVLPG, Exit.VCPU_SWITCH),
}
"""Which exits a mode can raise: these rows stand in the table `exits`, also when they are zero."""
LOG_EXITS = (Exit.PML_FULL,)
"""Likewise, where modified pages are logged."""
PROTECTION_EXITS = (Exit.WRITE_PROTECTED,)
"""Likewise, where pages are write-protected to know which are modified."""
ROUND_EXITS = (Exit.DIRTY_LOG,)
"""Likewise, where the VMM asks which are."""
PROMOTION_EXITS = (Exit.PROMOTION,)
"""Likewise, where the VMM promotes small pages."""
PAGING_EXITS = (Exit.SWAP_IN, Exit.RECLAIM)
"""Likewise, where the host pages."""
REPORT_EXITS = (Exit.FREE_PAGE_REPORT,)
"""Likewise, where a guest of the host reports free pages."""
POWER_EXITS = (Exit.POWER,)
"""Likewise, where a guest of the host is powered off, or reboots."""
COMPRESSION_EXITS = (Exit.DECOMPRESS,)
"""Likewise, where it compresses."""
BALLOON_EXITS = (Exit.BALLOON, Exit.BALLOON_POP)
"""Likewise, where a guest of the host has a balloon."""

CHARGED = (
    Event.BASE_CYCLES,
    Event.TLB_CYCLES,
    Event.WALK_CHARGED_CYCLES,
    Event.EXIT_CYCLES,
    Event.GUEST_FAULT_CYCLES,
    Event.GUEST_CYCLES,
    Event.FLUSH_CYCLES,
)
"""The parts of `cycles_per_access`; with pace and ready they make up a vCPU's elapsed time exactly."""
