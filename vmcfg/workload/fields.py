"""The fields of `work.phases`: what each phase does, and behind all phases the parts of their mixtures."""

from __future__ import annotations

# Values of KIND.
UNIFORM, SEQUENTIAL, ZIPF, HOT_COLD, TRACE, STRIDE, POINTER_CHASE, MIXTURE = range(8)

# Fields of work.phases[row, field]. A part of a mixture has those that say how pages are picked.
(
    KIND,
    FIRST_VPN,
    PAGES,
    WRITE_PPM,
    HOT_PAGES,
    HOT_SHARE_PPM,
    SCATTER_BITS,  # 0: ranks are pages
    PER_TOUCH,
    TOUCHES,  # per vCPU, UNLIMITED if open-ended
    CYCLES,  # likewise
    STEP,  # paced: cycles between touches, 0: back to back
    STEP_REMAINDER,  # per STEP_DIVISOR of a cycle
    STEP_DIVISOR,
    FIRST_RECORD,
    RECORDS,
    FIRST_INDEX,  # of the trace's pages in work.vpns
    TRACE_TOUCHES,  # records × repeats
    ZIPF_TABLE,  # row of work.zipf_places
    STRIDE_BYTES,
    LEAP_BYTES,  # how far 2^20 strides lead
    PARTS,  # of a mixture
    FIRST_PART,  # row of the first of them
    WEIGHTS,  # of a part: its weight and those of the parts before it; of a mixture: all
    EVENTS,  # what the guest's kernel does meanwhile: so many rows of work.events
    FIRST_EVENT,  # from this one
    EPOCHS,  # of a trace that is told by epochs: so many places of work.epochs
    FIRST_EPOCH,  # from this one
    EPOCH_CYCLES,
) = range(28)
PHASE_FIELDS = 28

# Values of EVENT_KIND.
CONTEXT_SWITCH, SYSCALL, MMAP, MUNMAP, MPROTECT, FORK, EXEC, EXIT, COLLAPSE, PROMOTE, FLUSH = range(11)
READ_FILE, WRITE_FILE, POWER_OFF, REBOOT = range(11, 15)

# Values of EVENT_WHAT, as INVPCID numbers its types: of a flush.
FLUSH_PAGE, FLUSH_PROCESS, FLUSH_ALL_WITH_GLOBALS, FLUSH_ALL = range(4)

# Fields of work.events[row, field]: due for the i-th time floor(i × EVERY ÷ EVERY_DIVISOR) touches, or cycles, after
# the phase's beginning.
(
    EVENT_KIND,
    IS_TIMED,
    EVERY,
    EVERY_DIVISOR,
    EVENT_VPN,  # the region's first page, and how many there are
    EVENT_REGION,
    EVENT_PAGES,  # concerned each time; of collapse: ranges, of promote: blocks
    EVENT_KERNEL_PAGES,
    EVENT_WRITABLE,  # mprotect: whether W is set
    EVENT_MAX_ABSENT,  # collapse, promote: of their pages
    EVENT_WHAT,  # flush
    EVENT_OF_NEXT,  # flush: of the next process
    EVENT_FILE,  # read_file, write_file: the number of its name
) = range(13)
EVENT_FIELDS = 13

# Fields of work.due[vcpu, event × DUE_FIELDS + field].
(
    DUE_AT,  # the count of touches, or the time
    DUE_REMAINDER,
    DUE_TIMES,  # how often it has happened
    DUE_TOUCH,  # the count of touches from which on it may happen
) = range(4)
DUE_FIELDS = 4
