"""Shadow paging: the VMM's own tables, one beside each of the guest's, and what it makes of the guest's deeds.

A vCPU has a `ShadowMmu`; the vCPUs of a VM have their `ShadowTables` in common, but nothing in them in a virtual TLB.
"""

from __future__ import annotations

from vmcfg.scenario.spec import ShadowPaging

from .faults import handle_ept_violation, supply, take_exit
from .memory import Entry, Frames, key, page_count, prefix
from .shadow_tables import ShadowEntry, ShadowTable, ShadowTables, index
from .spaces import View
from .vcpu import Vcpu

FLOOD = 3  # writes in a row, after which a table is let go
NO_ROOT = ShadowTable(-1, 0, 0, -1)  # of a vCPU whose guest is gone, or not there yet

INVVPIDS = {"invlpg": "invvpids_address", "cr3_load": "invvpids_context"}  # executed in the exit, where there are VPIDs


class ShadowMmu:
    """What the VMM does for one vCPU."""

    def __init__(self, vcpu: Vcpu, how: ShadowPaging, tables: ShadowTables) -> None:
        self.vcpu = vcpu
        self.how = how
        self.tables = tables
        self.spaces = vcpu.spaces
        self.memory = vcpu.memory
        self.frames: Frames = vcpu.memory.frames
        self.costs = vcpu.costs
        self.is_virtual_tlb = how.variant == "virtual_tlb"
        self.is_storing = False  # the guest's handler answers a fault of a store
        self.slots: list[ShadowTable | None] = [None] * how.unsync_slots
        self.exited_roots: list[int | None] = [None] * how.cr3_targets  # the last ones whose load was an exit
        self.root, _ = self._root()

    # --- faults of walks ---

    def is_allowed(self, view: View, vpn: int, is_store: bool) -> bool:
        """Whether the guest's own tables let the access happen."""
        leaf = self.leaf(view, vpn)
        return leaf is not None and (leaf.writable or not is_store)

    def leaf(self, view: View, vpn: int) -> Entry | None:
        """The guest's entry that maps a page, of whatever size."""
        return self.spaces.leaf(view, vpn)

    def handle_hidden_fault(self, view: View, vpn: int, is_store: bool) -> None:
        """Makes what is missing above the page, and its entry."""
        table, taken, size = self.root, 0, self.spaces.mapping(view, vpn)
        for level in range(self.spaces.levels, size, -1):
            self._go_through(table)
            if index(level, vpn) not in table.entries:
                entry = self.spaces.entry(view, level, vpn)
                assert entry
                entry.accessed = True
                below, frames = self._table(entry.target, level - 1, prefix(level, vpn))
                table.entries[index(level, vpn)] = ShadowEntry(below.frame, below=below)
                taken += frames
            table = self._below(table, level, vpn)
        self._go_through(table)
        leaf = self.leaf(view, vpn)
        assert leaf
        taken += self._fill(table, vpn, leaf, is_store)
        self._exit("hidden_fault", self.costs["hidden_fault"] + taken * self.costs["zero_page"])

    def handle_true_fault(self, view: View, vpn: int) -> None:
        """Hands the fault to the guest, by an exit unless the processor can tell that it is the guest's."""
        if self.how.bypasses_not_present and self._is_absent_where_linked(view, vpn):
            return
        table = self._end_of_way(vpn)
        table.entries.pop(index(table.level, vpn), None)
        self._exit("true_fault", self.costs["true_fault"])

    # --- what the guest does ---

    def table_written(self, page: int, level: int, vpn: int, entry: Entry | None) -> None:
        """The guest has written the entry of `level` for `vpn` in the table in `page`."""
        table = self.tables.by_page.get(page)
        if table is None or table.state != "traced":
            return
        if self.how.variant == "unsync" and level == 1:
            synced = self._let_out_of_sync(table)
            self._exit("trace_fault", self.costs["trace_fault"] + synced * self.costs["hidden_fault"])
            return
        place, taken = index(level, vpn), 0
        last = table.entries.get(table.last_written)
        table.writes_in_a_row = 1 if last and last.accessed else table.writes_in_a_row + 1
        table.last_written = place
        self._cut(table, place)
        if table.writes_in_a_row == FLOOD:
            for each in sorted(table.entries):
                self._cut(table, each)
            table.state = "open"
            table.writes_in_a_row = 0
        elif self.how.installs_on_write and level == 1 and entry and entry.target in self.memory.pmap:
            taken = self._fill(table, vpn, entry, self.is_storing)
        self._exit("trace_fault", self.costs["trace_fault"] + taken * self.costs["zero_page"])

    def table_freed(self, page: int) -> None:
        """The guest's table in `page` is one no more, which the VMM sees when the page is written."""
        table = self.tables.by_page.pop(page, None)
        if table is None:
            return
        if table.state == "traced":
            is_soon_seen = self.how.variant == "unsync" and table.level == 1
            self.tables.still_traced[page] = 1 if is_soon_seen else FLOOD
        for place in sorted(table.entries):
            self._cut(table, place)
        for vcpu in self.vcpu.siblings:
            if vcpu.shadow:
                vcpu.shadow._forget(table)
        self.frames.give_back(table.frame)

    def entry_settled(self, page: int, vpn: int) -> None:
        """The guest has changed a leaf of a table that nobody may have loaded."""
        table = self.tables.by_page.get(page)
        if table and table.state == "unsynced":
            self._sync_entry(table, index(1, vpn))

    def page_accessed(self, ppn: int, kind: str, overwritten_by: str) -> None:
        """The guest accesses a page past the TLBs."""
        if ppn not in self.memory.pmap:
            handle_ept_violation(self.vcpu, ppn, kind, overwritten_by)
        for _ in range(self.tables.still_traced.pop(ppn, 0)):
            self._exit("trace_fault", self.costs["trace_fault"])

    def cr3_loaded(self, payer: Vcpu) -> None:
        """The vCPU has loaded CR3, because `payer` wanted it, mostly itself."""
        self.vcpu.core.drop_spaces([tag for slot in range(len(self.spaces.slots)) for tag in self.spaces.tags_of(slot)])
        self.vcpu.core.drop_spaces([self.vcpu.vm.name])
        if self.is_virtual_tlb:
            self.leave_root()
        self.root, taken = self._root()
        shadows = [vcpu.shadow for vcpu in self.vcpu.siblings if vcpu.shadow]
        unsynced = [table for shadow in shadows for table in shadow.slots if table]
        for table in unsynced:
            self._sync(table)
        for shadow in shadows:
            shadow.slots = [None] * len(shadow.slots)
        if self.root.table in self.exited_roots:
            return
        self.exited_roots = [*self.exited_roots, self.root.table][1:]
        cycles = taken * self.costs["zero_page"] + len(unsynced) * self.costs["hidden_fault"]
        self._exit("cr3_load", self.costs["shadow_cr3_load"] + cycles, payer)

    def page_invalidated(self, vpn: int, payer: Vcpu) -> None:
        """The vCPU has executed INVLPG."""
        table = self._end_of_way(vpn, is_whole=True)
        if self.is_virtual_tlb:
            self._cut(table, index(table.level, vpn))
        if table.state == "unsynced":
            self._sync_entry(table, index(1, vpn))
        self._exit("invlpg", self.costs["shadow_invlpg"], payer)

    # --- tables ---

    def _root(self) -> tuple[ShadowTable, int]:
        roots = self.vcpu.loaded.space.roots
        return self._table(roots[-1 if self.vcpu.is_in_kernel else 0].ppn, self.spaces.levels, 0)

    def _table(self, page: int, level: int, numbers: int) -> tuple[ShadowTable, int]:
        """The shadow of a guest's table, and the frames that it took: none if it is there already."""
        if page in self.tables.by_page:
            return self.tables.by_page[page], 0
        table = ShadowTable(page, level, numbers, self.frames.take("overhead"))
        if not self.is_virtual_tlb:
            self.tables.by_page[page] = table
        return table, 1

    def leave_root(self) -> None:
        """The vCPU uses no shadow table any more; one that it has to itself goes."""
        if self.is_virtual_tlb and self.root is not NO_ROOT:
            self._drop_tree(self.root)
        self.root = NO_ROOT

    def _drop_tree(self, table: ShadowTable) -> None:
        """From the root down, the highest entry first."""
        self.frames.give_back(table.frame)
        for _, entry in sorted(table.entries.items(), key=lambda item: -item[0]):
            if entry.below:
                self._drop_tree(entry.below)

    def _below(self, table: ShadowTable, level: int, vpn: int) -> ShadowTable:
        below = table.entries[index(level, vpn)].below
        assert below
        return below

    def _end_of_way(self, vpn: int, is_whole: bool = False) -> ShadowTable:
        """The table that has the entry of a page, or lacks the next one on the way; of a whole page, not its pieces."""
        table = self.root
        while True:
            entry = table.entries.get(index(table.level, vpn))
            if entry is None or entry.below is None or (is_whole and entry.below.is_pieces):
                return table
            table = entry.below

    def _cut(self, table: ShadowTable, place: int) -> None:
        """Drops an entry, with the pieces that it leads to, which then no walk cache may lead to either."""
        entry = table.entries.pop(place, None)
        if entry and entry.below and entry.below.is_pieces:
            self._drop_tree(entry.below)
            tags = [tag for slot in range(len(self.spaces.slots)) for tag in self.spaces.tags_of(slot)]
            for core in self.vcpu.cores:
                for cache in core.guest_caches.values():
                    cache.drop_tags(tags)

    def _go_through(self, table: ShadowTable) -> None:
        """A fault uses it: from now on the guest's table is protected."""
        table.writes_in_a_row = 0
        if table.state == "open" and not self.is_virtual_tlb:
            table.state = "traced"

    def _fill(self, table: ShadowTable, vpn: int, leaf: Entry, is_store: bool) -> int:
        """Sets A, for a store D, and the shadow of the leaf, whole or one piece; returns the frames taken."""
        leaf.accessed = True
        leaf.dirty |= is_store and leaf.writable
        ppn = leaf.target + vpn % page_count(table.level)
        taken = 0
        if ppn not in self.memory.pmap:
            taken, _ = supply(self.vcpu, ppn)
        while table.level > self.memory.host_size(ppn):
            place = index(table.level, vpn)
            if place not in table.entries:
                frame = self.frames.take("overhead")
                pieces = ShadowTable(-1, table.level - 1, prefix(table.level, vpn), frame, is_pieces=True)
                table.entries[place] = ShadowEntry(pieces.frame, below=pieces)
                taken += 1
            table = self._below(table, table.level, vpn)
        self._cut(table, index(table.level, vpn))
        first = ppn - ppn % page_count(table.level)
        table.entries[index(table.level, vpn)] = ShadowEntry(self.memory.pmap[first], leaf.writable and leaf.dirty)
        return taken

    def _is_absent_where_linked(self, view: View, vpn: int) -> bool:
        table = self.root
        for level in range(self.spaces.levels, 0, -1):
            entry = self.spaces.entry(view, level, vpn)
            if entry is None:
                return True
            if entry.is_leaf or index(level, vpn) not in table.entries:
                return False
            table = self._below(table, level, vpn)
        return False

    # --- out of sync ---

    def _let_out_of_sync(self, newcomer: ShadowTable) -> int:
        """Gives a table the slot of its frame; returns how many others had to be synced for it."""
        newcomer.state = "unsynced"
        place = self._home(newcomer)
        occupant, self.slots[place] = self.slots[place], newcomer
        if occupant and self._home(occupant) == place and len(self.slots) > 1:
            place = (place + 1) % len(self.slots)
            occupant, self.slots[place] = self.slots[place], occupant
        if occupant:
            self._sync(occupant)
        return int(occupant is not None)

    def _home(self, table: ShadowTable) -> int:
        return self.memory.pmap[table.table] % len(self.slots)

    def _sync(self, table: ShadowTable) -> None:
        for place in list(table.entries):
            self._sync_entry(table, place)
        table.state = "traced"

    def _sync_entry(self, table: ShadowTable, place: int) -> None:
        """Drops an entry that the guest's does not bear out."""
        entry = table.entries.get(place)
        if entry is None:
            return
        leaf = self._guest_leaf(table, place)
        is_same = leaf is not None and self.memory.pmap.get(leaf.target) == entry.mpn
        if not leaf or not is_same or (entry.writable and not (leaf.writable and leaf.dirty)):
            del table.entries[place]

    def _guest_leaf(self, table: ShadowTable, place: int) -> Entry | None:
        """Of a leaf table that some living process or the kernel has."""
        vpn = table.prefix << 9 | place
        for holder in [self.spaces.kernel, *(process.space.tables for process in self.spaces.living())]:
            above = holder.get(key(2, vpn))
            if above and above.target == table.table:
                leaf = holder.get(key(1, vpn))
                return None if leaf is None or leaf.slot is not None else leaf
        return None

    def note_accessed(self, mpn: int) -> None:
        """A walk has come to a frame: whoever pages looks for that."""
        if self.memory.pager:
            self.memory.accessed |= {ppn for ppn, frame in self.memory.pmap.items() if frame == mpn}

    def lacks_tables(self, vpn: int) -> bool:
        """Whether a shadow table is missing on the way to a page's entry."""
        return self._end_of_way(vpn).level > 1

    def _forget(self, table: ShadowTable) -> None:
        self.slots = [None if table is occupant else occupant for occupant in self.slots]
        self.exited_roots = [None if root == table.table else root for root in self.exited_roots]

    def forget_frames(self, mpns: set[int]) -> None:
        """The VMM takes these frames away: what maps them goes, in all tables of the VM."""
        waiting = [*self.tables.by_page.values(), *(vcpu.shadow.root for vcpu in self.vcpu.siblings if vcpu.shadow)]
        while waiting:
            table = waiting.pop()
            waiting += [entry.below for entry in table.entries.values() if entry.below]
            table.entries = {p: entry for p, entry in table.entries.items() if entry.below or entry.mpn not in mpns}

    def _exit(self, reason: str, handling: int, payer: Vcpu | None = None) -> None:
        if self.vcpu.host.mmu.vpid and reason in INVVPIDS:
            (payer or self.vcpu).count(INVVPIDS[reason])
        take_exit(self.vcpu, reason, self.costs["exit"] + handling, payer)
