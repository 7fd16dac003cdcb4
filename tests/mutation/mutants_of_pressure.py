"""Mutants of what takes memory away and gives it back, and of rounds of dirty logging: see `mutants`."""

from __future__ import annotations

from mutants import Mutant


def _host(breaks: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(breaks, f"vmm/{file}.py", old, new, "pressure")


def _guest(breaks: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(breaks, f"guest/{file}.py", old, new, "pressure")


def _cache(breaks: str, old: str, new: str) -> Mutant:
    return Mutant(breaks, "vmm/compression.py", old, new, "compression")


def _file(breaks: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(breaks, f"guest/{file}.py", old, new, "files")


def _shared(breaks: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(breaks, f"{file}.py", old, new, "shared")


def _refault(breaks: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(breaks, f"guest/{file}.py", old, new, "refaults")


MUTANTS = (
    _host("the host pages out one page more than a batch", "reclaiming",
          "    while count < allowed:", "    while count <= allowed:"),
    _host("a frame whose page is being written is free at once", "reclaiming",
          "    frame_reserve(m, mpn)", "    frame_free(m, mpn)"),
    _host("what is paged out stays in the TLBs", "reclaiming",
          "Exit.RECLAIM, invalidate(m, vm))", "Exit.RECLAIM, np.int64(0))"),
    _host("the VM that gave last gives again", "reclaiming",
          "m.paging.rules[NEXT_VM] = vm + 1", "m.paging.rules[NEXT_VM] = vm"),
    Mutant("pages on their way out are not counted, and as many more sent ahead", "vmm/reclaiming.py",
           "    while m.host.counts[at.FRAME_FREE] + flying(m, HOST_AREA) < wanted:",
           "    while m.host.counts[at.FRAME_FREE] < wanted:", "watermarks"),
    _host("one batch is sent ahead, whatever is wanted", "reclaiming",
          "HOST_PAGE_OUTS] - before\n", "HOST_PAGE_OUTS] - before\n        break\n"),
    Mutant("paging ahead ends at the lower mark", "allocation/watermarks.py",
           "free_frames >= self._stop_above:", "free_frames >= self._start_below:", "watermarks"),
    _host("a page that is back keeps its slot", "paging",
          "    slot_free(m, np.int64(HOST_AREA), slot_of(m, gpid))", "    pass"),
    _host("reading ahead takes the frames that accesses need", "paging",
          "m.host.counts[at.FRAME_FREE] <= m.host.counts[at.RESERVE]", "m.host.counts[at.FRAME_FREE] < 1"),
    _host("guests' tables are paged out", "paging",
          " and not is_pinned and m.host.pmap[gpid] & at.IS_TABLE == 0", " and not is_pinned"),
    _host("what a preventer spares is read all the same", "paging",
          "is_overwritten and (m.paging.rules[PREVENTS] or", "is_overwritten and (False or"),
    _host("slots are looked for from the beginning of their area", "swap",
          "    slot = a[area, NEXT]", "    slot = np.int64(0)"),
    _host("a disk serves requests as if it were alone", "devices",
          "start = max(now, d[device, FREE_AT])", "start = now"),
    Mutant("a vCPU that must wait for a disk goes on to the end of its stretch", "engine/turn.py",
           "clock < halt and not must_wait(m, vcpu, clock)):", "clock < halt):", "pressure"),
    Mutant("a driver waits for what its vCPU has asked a disk for", "engine/queues.py",
           "    m.vcpu[vcpu, at.WAITS_UNTIL] = 0  # what", "    # what", "pressure"),
    _host("a disk seeks before each request", "devices",
          "np.int64(d[device, HEAD] != place)", "np.int64(1)"),
    _guest("a page that processes share is unmapped from one of them", "unmapping",
           "    while m.guests.sharers[gpid]:", "    while m.guests.sharers[gpid] and other < 0:"),
    _guest("the guest begins to page out when nothing is left", "reclaim",
           "< wanted + BATCH and flying", "< wanted and flying"),
    _guest("double page-outs are not seen", "reclaim",
           "Event.DOUBLE_PAGE_OUTS] += is_swapped(m, gpid)", "Event.DOUBLE_PAGE_OUTS] += 0"),
    _guest("a page that comes back may be written, whatever it was", "swapping",
           "bits = at.WRITABLE * np.int64(entry & at.WRITABLE != 0)", "bits = np.int64(at.WRITABLE)"),
    _guest("a fork forgets that a slot has one leaf more", "swapping",
           "page_of(entry), np.int64(1))", "page_of(entry), np.int64(0))"),
    _guest("a page that was freed goes on being a candidate", "data_pages",
           "        leave(m.paging.guest, vm, gpid)", "        pass"),
    _guest("a balloon takes what the guest keeps free", "balloon",
           "spare = max(np.int64(0), guest[vm, at.GUEST_FREE] - guest[vm, at.GUEST_MIN])",
           "spare = guest[vm, at.GUEST_FREE]"),
    Mutant("a balloon that could not grow goes on as fast", "guest/balloon.py",
           "        rate = rate // 2", "        rate = rate", "balloon"),
    Mutant("pages on their way to the disk are a failure of the balloon's driver", "guest/balloon.py",
           "adapt(m, vm, asked, why != NOTHING_LEFT)", "adapt(m, vm, asked, made == asked)", "rate"),
    Mutant("a balloon's driver asks for more while it waits", "guest/balloon.py",
           "if left == 0 or m.core[core, at.CLOCK] < guest[vm, at.BALLOON_SLEEPS]:", "if left == 0:", "rate"),
    Mutant("a few pages are as good a success of a balloon's driver as many", "guest/balloon.py",
           "    elif asked == rate:", "    else:", "balloon"),
    _guest("a page that left the balloon is without a frame for ever", "balloon",
           "        unmark_ballooned(m, base + ppn)", "        pass"),
    _guest("a balloon is flushed page by page, or not at all", "balloon",
           "invalidate(m, vm) if won else np.int64(0)", "np.int64(0)"),
    _host("a page in a balloon keeps its slot of the host's swap area", "balloon",
          "    give_slot_back(m, gpid)", "    pass"),
    _host("a driver does not hear that its balloon has popped", "balloon",
          "m.guests.vm[vm, at.IS_POPPED] = 1", "m.guests.vm[vm, at.IS_POPPED] = 0"),
    Mutant("a round of dirty logging leaves D in the TLBs", "vmm/dirty_rounds.py",
           "invalidate(m, vm) if pages else np.int64(0)", "np.int64(0)", "rounds"),
    Mutant("a round of dirty logging leaves the logs unread", "vmm/dirty_rounds.py",
           "entries = empty_log(m, vcpu)", "entries = np.int64(0)", "rounds"),
    Mutant("what the guest's kernel zeroes is not known to be modified", "vmm/verbs.py",
           "    if is_overwritten and m.cost[at.HAS_ROUNDS]:", "    if False:", "rounds"),
    # Power.
    _host("a VM that is powered off keeps its slots of the host's swap area", "power",
          "        drop_slot(m, row, gpid)", "        pass"),
    _host("a VM that is powered off keeps its frames", "power",
          "        frame_free(m, m.host.pmap[gpid] >> at.MPN_SHIFT)", "        pass"),
    _host("a VM that is powered off keeps its places in the compression cache", "power",
          "        drop(m, vm, gpid)", "        pass"),
    _host("a VM that is powered off keeps the tables of its EPT", "power",
          "            frame_free(m, m.host.ept[entry] - 1)", "            pass"),
    _guest("what cores hold of a VM that is powered off stays there", "power",
           "Exit.POWER, invalidate(m, vm))", "Exit.POWER, np.int64(0))"),
    _guest("a reboot leaves the balloon's pages ballooned", "power",
           "        unmark_ballooned(m, base + m.guests.balloon[base + number])", "        pass"),
    _guest("a rebooted guest's swap area is as full as before", "power",
           "        m.paging.slots[area[own, FIRST] + slot] = 0", "        pass"),
    _guest("a rebooted guest frees what was being written before", "power",
           "    area[own, LANDED] = area[own, LAUNCHED]", "    pass"),
    _guest("a rebooted guest takes pages from those who are gone", "power",
           "        leave(m.paging.guest, vm, gpid)", "        pass"),
    Mutant("a balloon's driver answers while its guest boots again", "engine/booting.py",
           "machine.sched[at.NOW] >= guest[at.DOWN_UNTIL]", "True", "pressure"),
    Mutant("one vCPU alone syncs at its loads of CR3 what it let out of sync", "mmu/shadow_answers.py",
           "if m.vcpu[other, at.VM] == m.vcpu[vcpu, at.VM]:", "if other == vcpu:", "pressure"),
    # Refault distances of guests.
    _refault("a guest's policy remembers evictions by pages that hold something else by now", "refaults",
             "    leave(m.paging.guest, vm, gpid)", "    pass"),
    _refault("a guest's two lists forget when what is out went", "refaults",
             "        give_mark(m.paging.guest, gpid, m.paging.marks[place])", "        pass"),
    _refault("a guest's refault distances are one too long", "refaults",
             "m.paging.marks[place])", "m.paging.marks[place] + (m.paging.marks[place] < -1))"),
    _refault("a slot that is free keeps the mark of what it held", "swapping",
             "        drop_mark(m, vm, place_of_slot(m, vm, slot))", "        pass"),
    _refault("a page of a file keeps its mark when it is written as a whole", "page_cache",
             "    drop_mark(m, vm, place_of_file_page(m, page))", "    pass"),
    _refault("what went before a power-off is known after it", "power",
             "        drop_mark(m, vm, place_of_file_page(m, page))", "        pass"),
    # Policies that are told of every access.
    Mutant("the host's policy is not told of TLB hits", "engine/turn.py",
           "                _tell(m, vcpu, before, start)", "                pass",
           "told"),
    _host("pages that come in together come at one time", "paging",
          "m.paging.rules[WHEN] += m.paging.rules[IS_TOLD] == IN_ORDER", "m.paging.rules[WHEN] += 0"),
    Mutant("a guest's policy is told of no access", "engine/references.py",
           "        _refer(m.paging.guest, vm, gpid, guest[vm, at.TOLD_WHEN])", "        pass", "told_guests"),
    _guest("pages of a guest that come together come at one time", "candidates",
           "m.guests.vm[vm, at.TOLD_WHEN] += m.guests.vm[vm, at.TOLD] == IN_ORDER",
           "m.guests.vm[vm, at.TOLD_WHEN] += 0"),
    # Kills.
    Mutant("of equally large processes the last one is killed", "guest/killing.py",
           "if pages > most:", "if pages >= most:", "kills"),
    Mutant("a kill that takes frames fails where they are still being written", "engine/kills.py",
           "return asked_by == WORKLOAD", "return False", "waiting"),
    Mutant("a driver gives up where its guest could end a process for it", "guest/balloon.py",
           "return np.int64(NOTHING_LEFT * guest[vm, at.KILLS])", "return np.int64(0)", "driver"),
    Mutant("a balloon's target holds one poll too late", "engine/due.py",
           "step.at_ns <= now_ns]", "step.at_ns < now_ns]", "pressure"),
    # The compression cache.
    _cache("two free quarters side by side are no half",
           "    elif m.compression.quarters[place ^ 1] == 0:", "    elif False:"),
    _cache("a cache takes a frame more than its share",
           "limits[vm, HELD] < limits[vm, LIMIT] or", "limits[vm, HELD] <= limits[vm, LIMIT] or"),
    # Pages of files.
    _file("what is changed is dropped as if it were clean", "reclaim",
          "is_dirty = m.files.dirtied[page] != 0", "is_dirty = False"),
    _file("reading ahead takes what the event itself still needs", "page_cache",
          "guest[vm, at.GUEST_FREE] > keep + guest[vm, at.GUEST_MIN] // 2", "guest[vm, at.GUEST_FREE] > 0"),
    # Shared memory.
    _shared("a page of shared memory is another for each process that touches it", "guest/file_mapping",
            "        if m.files.cached[page] <= 0:", "        if m.files.cached[page] == 0 or process > 0:"),
    _shared("a fork takes shared memory for private", "guest/processes",
            "at.WRITABLE * np.int64(is_file)", "np.int64(0)"),
    _shared("the end of any process frees what of shared memory nobody maps", "guest/shared_memory",
            "or count_living(m, vm) > 1:", "or count_living(m, vm) > 99:"),
    _shared("shared memory that goes to the swap area is lost", "guest/shared_memory",
            "    m.files.cached[page] = -1 - slot", "    m.files.cached[page] = 0"),
)
