"""Shadow paging: the VMM's own tables, one beside each of the guest's, and what it makes of the guest's deeds.

A vCPU has a `ShadowMmu`; the vCPUs of a VM have their `ShadowTables` in common, but nothing in them in a virtual TLB.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vmcfg.scenario.spec import ShadowPaging

from .faults import take_exit
from .memory import Entry, Frames, key, prefix
from .spaces import View
from .vcpu import Vcpu

FLOOD = 3  # writes in a row, after which a table is let go


@dataclass(eq=False)
class ShadowEntry:
    """Leads to a frame, or above the leaves to a shadow table; `accessed` and `dirty` are set by walks."""

    mpn: int
    writable: bool = True
    below: ShadowTable | None = None
    accessed: bool = False
    dirty: bool = False


@dataclass(eq=False)
class ShadowTable:
    """Follows the guest's table in page `table`, whose entries are for the pages that begin with `prefix`."""

    table: int
    level: int
    prefix: int
    frame: int
    entries: dict[int, ShadowEntry] = field(default_factory=dict)
    state: str = "open"  # traced: writes of the guest's table exit; unsynced: they do not, though it is followed
    writes_in_a_row: int = 0
    last_written: int = 0


@dataclass
class ShadowTables:
    """Those of one VM by the page of the guest's table; `still_traced`: by page, how many writes yet trap."""

    by_page: dict[int, ShadowTable] = field(default_factory=dict)
    still_traced: dict[int, int] = field(default_factory=dict)


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
        leaf = self.spaces.entry(view, 1, vpn)
        return leaf is not None and (leaf.writable or not is_store)

    def handle_hidden_fault(self, view: View, vpn: int, is_store: bool) -> None:
        """Makes what is missing above the page, and its entry."""
        table, taken = self.root, 0
        for level in range(self.spaces.levels, 1, -1):
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
        leaf = self.spaces.entry(view, 1, vpn)
        assert leaf
        taken += self._fill(table, index(1, vpn), leaf, is_store)
        self._exit("hidden_fault", self.costs["hidden_fault"] + taken * self.costs["zero_page"])

    def handle_true_fault(self, view: View, vpn: int) -> None:
        """Hands the fault to the guest, by an exit unless the processor can tell that it is the guest's."""
        if self.how.bypasses_not_present and self._is_absent_where_linked(view, vpn):
            return
        table = self._leaf_table(vpn)
        if table:
            table.entries.pop(index(1, vpn), None)
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
        table.entries.pop(place, None)
        if table.writes_in_a_row == FLOOD:
            table.entries.clear()
            table.state = "open"
            table.writes_in_a_row = 0
        elif self.how.installs_on_write and level == 1 and entry:
            taken = self._fill(table, place, entry, self.is_storing)
        self._exit("trace_fault", self.costs["trace_fault"] + taken * self.costs["zero_page"])

    def table_freed(self, page: int) -> None:
        """The guest's table in `page` is one no more, which the VMM sees when the page is written."""
        table = self.tables.by_page.pop(page, None)
        if table is None:
            return
        if table.state == "traced":
            is_soon_seen = self.how.variant == "unsync" and table.level == 1
            self.tables.still_traced[page] = 1 if is_soon_seen else FLOOD
        for vcpu in self.vcpu.siblings:
            if vcpu.shadow:
                vcpu.shadow._forget(table)
        self.frames.give_back(table.frame)

    def page_accessed(self, ppn: int) -> None:
        """The guest accesses a page past the TLBs."""
        if ppn not in self.memory.pmap:
            pages, _ = self.memory.back(ppn)
            self._exit("hidden_fault", self.costs["hidden_fault"] + pages * self.costs["zero_page"])
        for _ in range(self.tables.still_traced.pop(ppn, 0)):
            self._exit("trace_fault", self.costs["trace_fault"])

    def cr3_loaded(self, payer: Vcpu) -> None:
        """The vCPU has loaded CR3, because `payer` wanted it, mostly itself."""
        self.vcpu.core.drop_spaces([tag for slot in range(len(self.spaces.slots)) for tag in self.spaces.tags_of(slot)])
        self.vcpu.core.drop_spaces([self.vcpu.vm.name])
        if self.is_virtual_tlb:
            self._drop_tree(self.root)
        self.root, taken = self._root()
        unsynced = [table for table in self.slots if table]
        for table in unsynced:
            self._sync(table)
        self.slots = [None] * len(self.slots)
        if self.root.table in self.exited_roots:
            return
        self.exited_roots = [*self.exited_roots, self.root.table][1:]
        cycles = taken * self.costs["zero_page"] + len(unsynced) * self.costs["hidden_fault"]
        self._exit("cr3_load", self.costs["shadow_cr3_load"] + cycles, payer)

    def page_invalidated(self, vpn: int, payer: Vcpu) -> None:
        """The vCPU has executed INVLPG."""
        table = self._leaf_table(vpn)
        if table and self.is_virtual_tlb:
            table.entries.pop(index(1, vpn), None)
        if table and table.state == "unsynced":
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

    def _leaf_table(self, vpn: int) -> ShadowTable | None:
        table = self.root
        for level in range(self.spaces.levels, 1, -1):
            if index(level, vpn) not in table.entries:
                return None
            table = self._below(table, level, vpn)
        return table

    def _go_through(self, table: ShadowTable) -> None:
        """A fault uses it: from now on the guest's table is protected."""
        table.writes_in_a_row = 0
        if table.state == "open" and not self.is_virtual_tlb:
            table.state = "traced"

    def _fill(self, table: ShadowTable, place: int, leaf: Entry, is_store: bool) -> int:
        """Sets A, for a store D, and the shadow of the leaf; returns the frames that the page took."""
        leaf.accessed = True
        leaf.dirty |= is_store and leaf.writable
        pages = 0
        if leaf.target not in self.memory.pmap:
            pages, _ = self.memory.back(leaf.target)
        table.entries[place] = ShadowEntry(self.memory.pmap[leaf.target], leaf.writable and leaf.dirty)
        return pages

    def _is_absent_where_linked(self, view: View, vpn: int) -> bool:
        table = self.root
        for level in range(self.spaces.levels, 0, -1):
            if self.spaces.entry(view, level, vpn) is None:
                return True
            if level == 1 or index(level, vpn) not in table.entries:
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
                return holder.get(key(1, vpn))
        return None

    def _forget(self, table: ShadowTable) -> None:
        self.slots = [None if table is occupant else occupant for occupant in self.slots]
        self.exited_roots = [None if root == table.table else root for root in self.exited_roots]

    def _exit(self, reason: str, handling: int, payer: Vcpu | None = None) -> None:
        take_exit(self.vcpu, reason, self.costs["exit"] + handling, payer)


def index(level: int, vpn: int) -> int:
    """Which entry of a table of `level` is on the way to a page."""
    return prefix(level, vpn) % 512
