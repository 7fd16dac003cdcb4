"""A host that takes memory back: its paging, the frames that it needs, and what it costs to get a page back."""

from __future__ import annotations

from vmcfg.scenario.spec import Host

from .candidates import Candidates
from .compression import CompressionCache, keep_compressed
from .disks import Area, Queue
from .faults import take_exit
from .flushes import forget_vm
from .memory import Entry, Memory, OutOfFramesError, key
from .spaces import View
from .vcpu import Vcpu

ENOUGH, WAITS, NO_QUOTA = "enough", "waits", "no quota"


class HostMarks:
    """A of a VM's pages: in the EPT, or under shadow paging beside what the VMM knows of them."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def is_marked(self, page: int) -> bool:
        if self.memory.is_nested:
            return self.memory.ept[key(1, page)].accessed
        return page in self.memory.accessed

    def unmark(self, page: int) -> None:
        self.memory.accessed.discard(page)
        if self.memory.is_nested and key(1, page) in self.memory.ept:
            self.memory.ept[key(1, page)].accessed = False


class HostPager:
    """`first` is the vCPU 0 of each VM, in their order."""

    def __init__(self, host: Host, memories: list[Memory], seed: int, disks: list[Queue]) -> None:
        self.how = host.paging
        self.memories = memories
        self.frames = memories[0].frames
        self.reserve = memories[0].reserve
        self.first: list[Vcpu] = []
        self.quota = [0] * len(memories)
        self.next_vm = 0
        self.wanted = 0
        self.is_paging_ahead = False
        self.promised = 0  # frames that an event under way may still take: nothing is read along into these
        swap = host.swap
        self.area = Area(disks[swap.disk], swap.pages) if swap else None
        for number, memory in enumerate(memories):
            memory.pager, memory.number = self, number
            if host.compression:
                memory.cache = CompressionCache(host, memory, seed)
            if self.how:
                stream = f"{host.name}/victims/{memory.vm.name}"
                memory.candidates = Candidates(self.how.victim, seed, stream, HostMarks(memory), self.how.is_told)

    def note_access(self, vcpu: Vcpu, view: View, vpn: int) -> None:
        """A program accesses a page: a policy that is told of every access hears of it, if the page is mapped."""
        if self.how and self.how.is_told:
            leaf = vcpu.spaces.leaf(view, vpn)
            if leaf:
                vcpu.memory.candidates.refer(leaf.target)

    # --- out ---

    def make_room(self, vcpu: Vcpu) -> str:
        """Pages out by quotas until as many frames are free as are wanted, or will be."""
        if not self.how:
            return NO_QUOTA
        assert self.area
        now = vcpu.core.clock
        self._collect(now)
        while self.frames.free + len(self.area.flights) < self.wanted + self.how.batch_pages:
            giver = self._next_giver()
            if giver is None:
                break
            self._page_out(vcpu, giver)
        self._collect(now)
        missing = self.wanted - self.frames.free
        if missing <= 0:
            return ENOUGH
        if missing > len(self.area.flights):
            return NO_QUOTA
        vcpu.wait_until(self.area.flights[missing - 1][1])
        return WAITS

    def look(self, now: int) -> None:
        """By watermarks: what is missing to the upper one is sent out, in whole batches that their VMs pay for."""
        assert self.how and self.how.watermarks and self.area
        coming = self.frames.free + len(self.area.flights)
        if coming < self.how.watermarks.start_below_frames:
            self.is_paging_ahead = True
        if coming >= self.how.watermarks.stop_above_frames:
            self.is_paging_ahead = False
        if not self.is_paging_ahead:
            return
        self._share_out(self.how.watermarks.stop_above_frames - coming)
        self._collect(now)
        while self.frames.free + len(self.area.flights) < self.how.watermarks.stop_above_frames:
            giver = self._next_giver()
            if giver is None:
                break
            self.first[giver].count("paged_ahead", self._page_out(self.first[giver], giver))

    def allow(self) -> bool:
        """Quotas for what is wanted now, or a sixteenth of all."""
        held = sum(len(memory.candidates.pages) for memory in self.memories)
        return self.how is not None and self._share_out(max(self.wanted, held // 16))

    def _share_out(self, wanted: int) -> bool:
        """Fair quotas: whoever holds more than an equal part gives in proportion to the excess."""
        assert self.area
        held = [len(memory.candidates.pages) for memory in self.memories]
        wanted = min(self.area.slots - len(self.area.held), wanted)
        parts = [max(0, pages - sum(held) // len(held)) for pages in held]
        if sum(parts) < wanted:
            parts = held
        wanted = min(wanted, sum(parts))
        self.quota = [-(-wanted * part // sum(parts)) if sum(parts) else 0 for part in parts]
        return any(self.quota)

    def decide(self, vcpu: Vcpu) -> None:
        """Frames are short: what quotas allow is paged out, else quotas are made."""
        if self.make_room(vcpu) == NO_QUOTA and not self.allow():
            raise OutOfFramesError

    def free_for(self, vcpu: Vcpu, does_wait: bool = False) -> str:
        """The same, to the end, for what a guest does at its time: mostly its vCPU does not wait for it."""
        waits = vcpu.waits_until
        made = NO_QUOTA
        while made == NO_QUOTA:
            made = self.make_room(vcpu)
            if not does_wait:
                vcpu.waits_until = waits
            if made == NO_QUOTA and not self.allow():
                break
        return made

    def _collect(self, now: int) -> None:
        assert self.area
        for mpn in self.area.landed(now):
            self.frames.give_back(mpn)

    def _next_giver(self) -> int | None:
        """The next VM in turn that has a quota."""
        count = len(self.quota)
        order = [(self.next_vm + n) % count for n in range(count)]
        giver = next((vm for vm in order if self.quota[vm] > 0), None)
        if giver is not None:
            self.next_vm = giver + 1
        return giver

    def _page_out(self, vcpu: Vcpu, number: int) -> int:
        """A batch of a VM's pages: one flush for all, and what is not kept in its cache is written; how many are."""
        assert self.area and self.how
        batch, count = self.how.batch_pages, 0
        sent: list[tuple[int, int]] = []
        while count < batch:
            ppn = None if self.area.is_full else self.memories[number].candidates.victim()
            if ppn is None:
                self.quota[number] = 0
                break
            count += 1
            mpn = self._unmap(number, ppn)
            if not keep_compressed(self, vcpu, number, ppn, mpn, sent):
                sent.append(self.send(number, ppn, mpn))
        self.area.write(vcpu.core.clock, sent)
        self.quota[number] = max(0, self.quota[number] - batch)
        self.first[number].count("host_page_outs", len(sent))
        if count:
            take_exit(vcpu, "reclaim", vcpu.costs["exit"] + self.flush(number))
        return len(sent)

    def _unmap(self, number: int, ppn: int) -> int:
        """Takes a page's frame away; returns it."""
        memory, shadow = self.memories[number], self.first[number].shadow
        mpn = memory.pmap.pop(ppn)
        memory.ept.pop(key(1, ppn), None)
        memory.accessed.discard(ppn)
        if shadow:
            shadow.forget_frames({mpn})
            shadow.tables.still_traced.pop(ppn, None)
        return mpn

    def send(self, number: int, ppn: int, mpn: int) -> tuple[int, int]:
        """Gives a page a slot; its frame is of no use to anybody until it is written."""
        assert self.area
        slot = self.area.take(number << 32 | ppn)
        self.memories[number].swapped[ppn] = slot
        self.frames.kind[mpn] = "reserved"
        return mpn, slot

    def flush(self, number: int) -> int:
        """All cores forget a VM's memory; what that costs."""
        return forget_vm(self.first[number])

    # --- in ---

    def page_in(self, vcpu: Vcpu, ppn: int, overwritten_by: str) -> None:
        """Gives a page a frame again and reads it, with the neighbours of its slot as far as frames allow."""
        assert self.area and self.how
        memory = vcpu.memory
        slot = memory.swapped[ppn]
        self._return(memory, ppn)
        first = self.first[memory.number]
        first.count("host_page_ins")
        if overwritten_by and self.how.has_preventer:
            first.count("prevented_reads")
            return
        first.count("false_reads", int(overwritten_by == "cpu"))
        first.count("stale_reads", int(overwritten_by == "device"))
        begin, end = slot, slot + 1
        cluster = slot - slot % self.how.cluster_slots
        while begin > cluster and self._read_along(begin - 1):
            begin -= 1
        while end < min(cluster + self.how.cluster_slots, self.area.slots) and self._read_along(end):
            end += 1
        vcpu.wait_until(self.area.read(vcpu.now, begin, end - begin))

    def _read_along(self, slot: int) -> bool:
        assert self.area
        if slot not in self.area.held or self.frames.free <= self.reserve + self.promised:
            return False
        content = self.area.held[slot]
        owner = self.memories[content >> 32]
        self._return(owner, content & (1 << 32) - 1)
        self.first[owner.number].count("host_read_ahead")
        return True

    def _return(self, memory: Memory, ppn: int) -> None:
        assert self.area
        del self.area.held[memory.swapped.pop(ppn)]
        self._give_frame(memory, ppn)

    def decompress(self, vcpu: Vcpu, ppn: int, overwritten_by: str) -> None:
        """Gives a page from the cache a frame again: no disk is asked."""
        assert self.how and vcpu.memory.cache
        first = self.first[vcpu.memory.number]
        vcpu.memory.cache.drop(ppn)
        self._give_frame(vcpu.memory, ppn)
        if overwritten_by and self.how.has_preventer:
            first.count("compressed_dropped")
            return
        first.count("decompressions")
        vcpu.spent += vcpu.costs["decompress_page"]

    def _give_frame(self, memory: Memory, ppn: int) -> None:
        memory.pmap[ppn] = memory.frames.take("private")
        if memory.is_nested:
            memory.ept[key(1, ppn)] = Entry(memory.pmap[ppn], is_leaf=True)
        memory.note_backed(ppn)

    # --- balloons ---

    def unback(self, memory: Memory, ppn: int) -> bool:
        """Takes the frame of a page that goes into a balloon, or its slot; returns whether it had a frame."""
        first = self.first[memory.number]
        if ppn in memory.swapped:
            assert self.area
            del self.area.held[memory.swapped.pop(ppn)]
            first.count("host_slots_dropped")
            return False
        if memory.is_compressed(ppn):
            assert memory.cache
            memory.cache.drop(ppn)
            first.count("compressed_dropped")
            return False
        if ppn not in memory.pmap:
            return False
        mpn = memory.pmap.pop(ppn)
        memory.ept.pop(key(1, ppn), None)
        if memory.is_paged(ppn):
            memory.candidates.leave(ppn)
        memory.accessed.discard(ppn)
        if first.shadow:
            first.shadow.forget_frames({mpn})
            first.shadow.tables.still_traced.pop(ppn, None)
        memory.frames.give_back(mpn)
        return True
