"""The hardware page walker: one and two dimensions, with walk caches and nested TLB.

A walk counts what it does in its own fields; whoever started it decides what the counts are (those of a completed
walk, of one that ended in a fault, or of a dirty walk).
"""

from __future__ import annotations

from collections import Counter

from .caches import Cache, Tag
from .core import UPPER_LEVELS, Core
from .lines import entry_address
from .memory import Entry, key, page_count, prefix
from .spaces import Spaces, View


class GuestFault(Exception):  # the field's word, and no error
    """The guest's own tables have no entry, or one that forbids the store: the guest handles it."""

    def __init__(self, is_present: bool) -> None:
        super().__init__(is_present)
        self.is_present = is_present


class EptViolation(Exception):  # likewise
    """A guest-physical page has no frame; `kind` is what the guest keeps there, `data` or `table`."""

    def __init__(self, ppn: int, kind: str) -> None:
        super().__init__(ppn, kind)
        self.ppn = ppn
        self.kind = kind


class LogFull(Exception):  # likewise
    """The EPT's A or D must be set, and the log of modified pages has no room."""


class Walk:
    """One walk for `vpn`. A quiet one (a dirty walk) uses the caches, but leaves their recency and contents alone.

    `log` is the vCPU's log of modified pages: a list of their PPNs, None if nobody logs.
    """

    def __init__(
        self, core: Core, spaces: Spaces, view: View, vpn: int, is_store: bool, is_quiet: bool = False,
        log: list[int] | None = None, pointers: dict[int, int] | None = None,
    ) -> None:  # fmt: skip
        self.core = core
        self.spaces = spaces
        self.view = view
        self.memory = memory = spaces.memory
        self.vm = memory.vm.name
        self.vpn = vpn
        self.is_store = is_store
        self.is_quiet = is_quiet
        self.log = log
        self.pointers = pointers or {}  # of PAE, in registers
        self.logged = 0
        self.has_host_bits = memory.is_nested and "ept_ad" in core.cpu.features
        self.guest_refs = 0
        self.host_refs = 0
        self.guest_walk_cache_hits = 0
        self.host_walk_cache_hits = 0
        self.nested_tlb_hits = 0
        self.found: Counter[str] = Counter()  # references by where they were found, if the core has data caches
        self.read_cycles = 0

    def go(self) -> bool:
        """Walks to the end and returns D for the TLB entry; raises GuestFault or EptViolation."""
        if self.spaces.levels == 0:
            return self._translate_data(self.vpn)
        level = self._start_in_the_guest_dimension()
        entry = self._read_guest_entry(level)
        while not entry.is_leaf:
            self._fill(self.core.guest_caches[level], self.view.walk_tag, self.spaces.key(level, self.vpn)[1])
            self._translate_table(entry.target)
            level -= 1
            entry = self._read_guest_entry(level)
        entry.dirty |= self.is_store
        is_dirty = entry.dirty and entry.writable
        if not self.memory.is_nested:
            return is_dirty
        return self._translate_data(entry.target + self.vpn % page_count(level)) and is_dirty

    @property
    def refs(self) -> int:
        return self.guest_refs + self.host_refs

    @property
    def cycles(self) -> int:
        """Raw cycles, not yet divided by the number of walkers."""
        costs = self.core.cpu.costs
        return (
            self.read_cycles
            + (self.guest_walk_cache_hits + self.host_walk_cache_hits) * costs["walk_cache_hit"]
            + self.nested_tlb_hits * costs["nested_tlb_hit"]
        )

    def _start_in_the_guest_dimension(self) -> int:
        """The level of the first guest entry to read. A cached entry holds its table's machine address."""
        for level in UPPER_LEVELS:
            if self._probe(self.core.guest_caches[level], self.view.walk_tag, self.spaces.key(level, self.vpn)[1]):
                self.guest_walk_cache_hits += 1
                return level - 1
        if self.spaces.levels == 3:
            if prefix(3, self.vpn) not in self.pointers:
                raise GuestFault(is_present=False)
            self._translate_table(self.pointers[prefix(3, self.vpn)])
            return 2
        self._translate_table(self.spaces.table_ppn(self.view, self.spaces.levels, self.vpn))
        return self.spaces.levels

    def _read_guest_entry(self, level: int) -> Entry:
        self.guest_refs += 1
        table = self.spaces.table_ppn(self.view, level, self.vpn)
        self._read(self.memory.pmap[table], level, self.vpn, self.spaces.bits)
        entry = self.spaces.entry(self.view, level, self.vpn)
        if entry is None:
            raise GuestFault(is_present=False)
        if entry.is_leaf and self.is_store and not entry.writable:
            raise GuestFault(is_present=True)
        entry.accessed = True
        return entry

    def _translate_table(self, ppn: int) -> None:
        """Finds the machine address of a guest table, in two dimensions only; its use counts as a write."""
        if not self.memory.is_nested:
            return
        held = self.core.nested_tlb.find(self.vm, ppn)
        if held is not None and held.dirty:
            self._probe(self.core.nested_tlb, self.vm, ppn)
            self.nested_tlb_hits += 1
            return
        self._walk_host(ppn, "table", is_write=True)
        self._keep_in_nested_tlb(ppn, True)

    def _translate_data(self, ppn: int) -> bool:
        """Finds the machine address of the page itself; returns whether stores need not set D in the EPT any more."""
        held = self.core.nested_tlb.find(self.vm, ppn) if self.core.nested_tlb_holds_data else None
        if held is not None and (held.dirty or not self.is_store):
            self._probe(self.core.nested_tlb, self.vm, ppn)
            self.nested_tlb_hits += 1
            return held.dirty
        is_dirty = self._walk_host(ppn, "data", is_write=self.is_store).dirty or not self.has_host_bits
        if self.core.nested_tlb_holds_data:
            self._keep_in_nested_tlb(ppn, is_dirty)
        return is_dirty

    def _keep_in_nested_tlb(self, ppn: int, is_dirty: bool) -> None:
        """A page that is there already was found without D, and is there with it now, also after a quiet walk."""
        held = self.core.nested_tlb.find(self.vm, ppn)
        if held is not None:
            held.dirty = is_dirty
        elif not self.is_quiet:
            self.core.nested_tlb.fill(self.vm, ppn, is_dirty)

    def _walk_host(self, ppn: int, kind: str, is_write: bool) -> Entry:
        """Reads the EPT for `ppn` and returns its leaf. A and D are set once the host walk is complete."""
        level = self._start_in_the_host_dimension(ppn)
        path = [self._read_host_entry(level, ppn, kind)]
        while not path[-1].is_leaf:
            self._fill(self.core.host_caches[level], self.vm, prefix(level, ppn))
            level -= 1
            path.append(self._read_host_entry(level, ppn, kind))
        if self.has_host_bits:
            self._log(ppn, path[-1], is_write)
            for entry in path:
                entry.accessed = True
            path[-1].dirty |= is_write
        return path[-1]

    def _log(self, ppn: int, leaf: Entry, is_write: bool) -> None:
        """Before A or D of the leaf is set: there must be room, and if it is D, the page goes in."""
        is_new = is_write and not leaf.dirty
        if self.log is None or (leaf.accessed and not is_new):
            return
        if len(self.log) == 512:
            raise LogFull
        if is_new:
            self.log.append(ppn)
            self.logged += 1

    def _start_in_the_host_dimension(self, ppn: int) -> int:
        for level in UPPER_LEVELS:
            if self._probe(self.core.host_caches[level], self.vm, prefix(level, ppn)):
                self.host_walk_cache_hits += 1
                return level - 1
        return self.memory.host_levels

    def _read_host_entry(self, level: int, ppn: int, kind: str) -> Entry:
        self.host_refs += 1
        is_root = level == self.memory.host_levels
        table = self.memory.ept_root if is_root else self.memory.ept[key(level + 1, ppn)].target
        if self.memory.host_levels == 1:
            table += ppn // 512
        self._read(table, level, ppn)
        entry = self.memory.ept.get(key(level, ppn))
        if entry is None:
            raise EptViolation(ppn, kind)
        return entry

    def _read(self, frame: int, level: int, page: int, bits: int = 9) -> None:
        """What it costs to read an entry: the same always, or what the data caches say, also in a quiet walk."""
        if self.core.lines is None:
            self.read_cycles += self.core.cpu.costs["walk_reference"]
            return
        where, latency = self.core.lines.read(entry_address(frame, level, page, bits))
        self.found[where] += 1
        self.read_cycles += latency

    def _probe(self, cache: Cache, tag: Tag, number: int) -> bool:
        look = cache.find if self.is_quiet else cache.hit
        return look(tag, number) is not None

    def _fill(self, cache: Cache, tag: Tag, number: int) -> None:
        if not self.is_quiet:
            cache.fill(tag, number)
