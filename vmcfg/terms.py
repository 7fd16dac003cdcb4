"""The glossary: the field's words, one meaning each, in code, tables, errors and documentation alike.

`vmcfg explain WORD` prints an entry. Columns of tables are not repeated here: they carry their own definitions.
"""

from __future__ import annotations

from collections.abc import Mapping

TERMS: Mapping[str, str] = {
    # addresses and the tables between them
    "gVA": "Guest virtual address: what a program in a VM uses; its page number is a VPN.",
    "VPN": "Virtual page number of a guest process: a gVA without its lowest 12 bits.",
    "gPA": "Guest physical address: what a VM takes for its memory; its page number is a PPN.",
    "PPN": "Guest physical page number; each VM counts its own from 0.",
    "hPA": "Host physical or machine address: where memory really is; its page number is an MPN.",
    "MPN": "Machine page number: a frame of the host.",
    "guest page table": "VPN to PPN, one per process, kept by the guest's kernel, in guest pages.",
    "pmap": "PPN to MPN, one per VM, kept by the VMM.",
    "EPT": "Extended page table: PPN to MPN, walked by the processor (AMD: NPT).",
    "page walk": "Reading page tables, from the root down, after a TLB miss; each entry read is one reference.",
    "nested walk": "A page walk in which each guest table's address is translated too: 24 references for 4 on 4.",
    "native": "MMU mode without virtualization, as on bare metal: the reference for every slowdown.",
    "nested": "MMU mode in which the processor walks the guest's page table and the EPT.",
    "software_tlb": "MMU mode in which no processor walks: a TLB miss is an exception, and the guest's kernel refills.",
    "paravirt": "MMU mode in which the guest asks the VMM to change its page tables, and the processor walks these.",
    # caches of translations
    "TLB": "Translation lookaside buffer: a cache from VPN to frame, per core.",
    "STLB": "The second-level TLB, asked after a miss in the first.",
    "PWC": "Page-walk cache: holds upper page-table entries, so that a walk begins further down.",
    "nested TLB": "Cache from PPN to frame for pages that hold guest page tables; a hit replaces a walk of the EPT.",
    "data caches": "L1, L2 and LLC: where page walks find table entries, of which eight share a line of 64 bytes.",
    "LLC": "Last-level cache: the data cache that all cores of a host share; beyond it is memory.",
    "VPID": "Tag of a VM's entries in the TLB (AMD: ASID): without it every exit empties the TLB.",
    # events
    "touch": "One simulated lookup of a page; with accesses_per_touch it stands for several accesses that stay there.",
    "access": "One load, store or instruction fetch.",
    "VM exit": "The processor leaves guest mode and gives control to the VMM, for a reason.",
    "EPT violation": "VM exit because a guest page has no frame, by cause: a data page or a page-table page.",
    "guest fault": "A page fault that the guest's own kernel handles; not an exit.",
    "dirty walk": "A walk made only to set the dirty bit, for a store that hit a TLB entry without it.",
    "first touch": "The first access to a page; it costs a guest fault, and an EPT violation where no frame backs it.",
    # pages and frames
    "backed": "Of a guest page: has a machine frame.",
    "unbacked": "Of a guest page: has no frame, because it was never touched or was given back.",
    "private": "Of a frame: backs exactly one guest page.",
    "overhead": "Of a frame: used by the VMM itself, for instance for EPT tables.",
    "OOM kill": "A guest that has run out of memory ends one of its processes: the one with most pages in memory.",
    # files
    "page cache": "Pages of files that a guest's kernel keeps in its memory, since they may be wanted again.",
    "read-ahead": "Pages read from a disk beside the one that is needed, because they lie behind it.",
    "write-back": "Writing dirty pages of files to the disk, some time after they were changed.",
    "minor fault": "A page fault that is answered without a disk, from the page cache for instance.",
    "major fault": "A page fault that waits for the guest's disk.",
    "compression cache": "Frames in which a host keeps pages that it paged out and that fit half a frame compressed.",
    # time
    "cycle": "The unit of all time inside: one clock cycle of the host, an integer.",
    "slice": "The stretch of time in which the cores run one after the other in the simulation.",
    "quantum": "How long a vCPU may hold its core while another one waits.",
    "charged": "Of cycles: spent by the VM's work, as opposed to pacing and waiting.",
    "pace": "Time between touches that follow a rate; the vCPU executes on pages that it already holds.",
    "warm-up": "Phase 0: simulated and checked like any other, and not shown.",
    # results
    "golden": "The accepted results of a scenario, kept as text and compared to the last digit.",
    "digest": "A number that changes when what it stands for changes: of a scenario, or of a subsystem's events.",
    "checkpoint": "A moment at which the digests of all subsystems are kept; at most 64 per run.",
    # what operators' tools call it
    "free (Linux)": "`total` there is configured_pages here, less the guest's kernel; `free` is guest_free_pages.",
    "virsh dommemstat": "`actual` is configured_pages, `rss` private_pages, `unused` guest_free_pages; in KiB.",
    "esxtop": "MEMSZ is configured_pages, GRANT is private_pages; in MB there.",
}
"""Word to meaning, one sentence each."""


def lookup(word: str) -> tuple[str, str] | None:
    """Return an entry as (word, meaning), found without regard to case; None if there is none."""
    lowered = {term.lower(): term for term in TERMS}
    term = lowered.get(word.lower())
    return (term, TERMS[term]) if term else None
