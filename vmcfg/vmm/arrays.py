"""The arrays of a machine in their groups: what guests keep, what the VMM keeps, what vCPUs are to do.

Their fields, and the bits of their entries, are in `vmm.machine`, which puts the groups together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vmcfg.reclaim.layer import Layer
from vmcfg.workload.zipf import ZipfTable


class Guests(NamedTuple):
    """What the guests keep.

    tables     i64[tables × 512]  entries of all guest page tables of the host
    ppns       i32[tables]        page of each of these tables
    pool       i64[2]             tables handed out for the first time; height of the stack of those given back
    given_back i32[tables]        that stack
    vm         i64[vms, VM_FIELDS]
    process    i64[processes, PROCESS_FIELDS]
    free_list  i32[gpids]         per VM from its base: freed guest pages, a stack
    blocks     i32[gpids ÷ 512]   likewise from its base ÷ 512: first pages of freed blocks of 2 MiB
    sharers    u16[gpids]         mappings of a data page besides the first, of a file's all: see `guest.data_pages`
    where      i64[gpids]         guests that reclaim: where one leaf that maps a data page lies, plus one
    balloon    i32[gpids]         per VM from its base: pages in its balloon, a stack
    homes      i64[tables]        likewise: whose a leaf table is, and of which pages: see `guest.data_pages`
    pcids      i32[vcpus, places] processes whose translations a vCPU keeps, plus one; negative: stale
    types      u8[tables]         paravirt: the level as which the VMM has checked a table, else 0
    referrers  i32[tables]        paravirt: entries, CR3s and pins that refer to a table
    path       i64[7]             scratch: where a visit of tables goes on, by level
    """

    tables: np.ndarray
    ppns: np.ndarray
    pool: np.ndarray
    given_back: np.ndarray
    vm: np.ndarray
    process: np.ndarray
    free_list: np.ndarray
    blocks: np.ndarray
    sharers: np.ndarray
    where: np.ndarray
    balloon: np.ndarray
    homes: np.ndarray
    pcids: np.ndarray
    types: np.ndarray
    referrers: np.ndarray
    path: np.ndarray


class Host(NamedTuple):
    """What the VMM keeps.

    pmap       i64[gpids]  machine frame and state of each guest page
    owner      i32[mpns]   gpid that a private frame belongs to, VM that an overhead frame belongs to
    kind       u8[mpns]
    free_list  i32[mpns]   given-back frames, a stack
    counts     i64[HOST_FIELDS]
    ept        i32[entries]  entries of the levels above the leaf of each VM's EPT: frame of the next table + 1
    blocks     i32[blocks]   first frames of free blocks of 2 MiB that lie before FRESH, a stack
    """

    pmap: np.ndarray
    owner: np.ndarray
    kind: np.ndarray
    free_list: np.ndarray
    counts: np.ndarray
    ept: np.ndarray
    blocks: np.ndarray


class Shadow(NamedTuple):
    """What the VMM keeps under shadow paging: see `vmm.shadow_pages`.

    pool i64[2]    given_back i32[pages]    stack i32[pages]: to walk trees    page i64[pages, fields]
    unsync i32[vcpus, slots]: shadow pages out of sync    targets i32[vcpus, targets]: root tables, plus one
    """

    entries: np.ndarray
    page: np.ndarray
    of_table: np.ndarray
    head: np.ndarray
    next: np.ndarray
    pool: np.ndarray
    given_back: np.ndarray
    stack: np.ndarray
    unsync: np.ndarray
    targets: np.ndarray


class Paging(NamedTuple):
    """What moves pages out of memory and back, of no size where nobody does.

    rules    i64[RULES]            what the host's paging is asked to do: see `vmm.paging`
    quota    i64[vms]              pages of each VM that policy still allows to be paged out
    device   i64[devices, fields]  disks: see `vmm.devices`
    area     i64[1 + vms, fields]  swap areas, the host's and each guest's: see `vmm.swap`
    slots    i32[slots]            what each slot of all areas holds: a gpid, or a guest's count of entries; 0: free
    flights  i64[areas × FLIGHTS, 2]  pages on their way out, of each area a ring: frame or page, when it is done
    marks    i64[slots + pages of files]  what guests' policies remember of what is out there: see `guest.refaults`
    next_uses i64[touches]         of VMs whose policy knows the future: when the page of each touch is touched next
    host     Layer                 backed pages of each VM, in the order in which the host takes them
    guest    Layer                 mapped pages of each VM, in the order in which its guest does
    """

    rules: np.ndarray
    quota: np.ndarray
    device: np.ndarray
    area: np.ndarray
    slots: np.ndarray
    flights: np.ndarray
    marks: np.ndarray
    next_uses: np.ndarray
    host: Layer
    guest: Layer


class Files(NamedTuple):
    """What guests' files are, and where their pages are: see `vmm.files`. Of no size where no guest has any.

    file     i64[vms × names, fields]
    mapping  i64[regions, fields]  regions that map files, or shared memory
    rules    i64[vms, fields]
    cached   i32[pages]            pages of files by number: the guest page that holds it, plus one; of shared memory
                                   also -1 - the slot of the guest's swap area that does
    dirtied  i32[pages]            likewise: since which of the kernel's looks for dirty pages it is one; 0: clean
    origin   i32[gpids]            the page of a file that a guest page holds, plus one
    block    i32[gpids]            the page of a file whose content on the disk a guest page has, plus one: `vmm.images`
    image    i32[pages]            the guest page that came to have it last, plus one
    """

    file: np.ndarray
    mapping: np.ndarray
    rules: np.ndarray
    cached: np.ndarray
    dirtied: np.ndarray
    origin: np.ndarray
    block: np.ndarray
    image: np.ndarray


class Compression(NamedTuple):
    """The host's compression cache, of no size where there is none: see `vmm.compression`.

    vm       i64[vms, fields]
    streams  u64[vms]         mixed keys of the streams that say how well pages compress
    frames   i32[frames]      frames of all VMs' caches, plus one; 0: none there
    spare    i32[frames]      per VM from its first: places that have no frame now, a stack
    quarters i32[frames × 4]  what lies in each quarter of them: a gpid plus one
    free     Layer            per VM: quarters and halves that hold nothing
    entries  Layer            per VM: compressed pages, the oldest first
    """

    vm: np.ndarray
    streams: np.ndarray
    frames: np.ndarray
    spare: np.ndarray
    quarters: np.ndarray
    free: Layer
    entries: Layer


class Work(NamedTuple):
    """What the vCPUs are to do.

    phases   i64[rows, fields]     phases, then parts of mixtures: see workload.fields
    stream   u64[vcpus]            mixed keys of the vCPUs' streams
    choices  u64[vcpus]            mixed keys of the streams that choose among a mixture's parts
    events   i64[rows, fields]     what guests' kernels do from time to time: see workload.fields
    due      i64[vcpus, events × 4] of each event of the phase: see workload.fields
    steps    i64[vcpus, parts]     touches that the parts of the vCPU's mixture have had in its phase
    scatter  u64[rows]             mixed keys of the permutations of ranks
    buffer   i64[vcpus, BATCH]     accesses generated ahead
    ahead    i64[AHEAD]            leaf slots that the look-ahead has found
    hints    i64[HINTS, 2]         where it has found tables of level 2
    records  u32[records]          all traces, one after the other
    vpns     i64[pages]            virtual pages that the records' indices stand for
    epochs   i64[epochs]           after how many of its trace's records each epoch ends
    zipf     ZipfTable             all zipf tables, joined
    zipf_places  u64[tables, 4]    where each of them lies
    """

    phases: np.ndarray
    stream: np.ndarray
    choices: np.ndarray
    events: np.ndarray
    due: np.ndarray
    steps: np.ndarray
    scatter: np.ndarray
    buffer: np.ndarray
    ahead: np.ndarray
    hints: np.ndarray
    records: np.ndarray
    vpns: np.ndarray
    epochs: np.ndarray
    zipf: ZipfTable
    zipf_places: np.ndarray
