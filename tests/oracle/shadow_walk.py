"""The hardware walker under shadow paging: one dimension, through tables that are the VMM's."""

from __future__ import annotations

from .core import UPPER_LEVELS
from .memory import prefix
from .shadow import ShadowMmu
from .shadow_tables import ShadowTable, index
from .spaces import View
from .walker import Walk


class ShadowFault(Exception):  # the field's word, and no error
    """The shadow has no entry, or one that forbids the store."""


class ShadowWalk(Walk):
    """A walk of the shadow table; its walk caches are the processor's for the linear dimension."""

    def __init__(self, mmu: ShadowMmu, view: View, vpn: int, is_store: bool, is_quiet: bool) -> None:
        super().__init__(mmu.vcpu.core, mmu.spaces, view, vpn, is_store, is_quiet)
        self.root = mmu.root
        self.mmu = mmu

    def go(self) -> bool:
        """Walks to the end and returns D for the TLB entry; raises ShadowFault."""
        level, table = self._start()
        while True:
            self.host_refs += 1
            self._read(table.frame, level, self.vpn)
            entry = table.entries.get(index(level, self.vpn))
            if entry is None or (self.is_store and not entry.writable):
                raise ShadowFault
            entry.accessed = True
            if entry.below is None:
                self.mmu.note_accessed(entry.mpn)
                entry.dirty |= self.is_store
                return entry.dirty
            self._keep(level, entry.below)
            level, table = level - 1, entry.below

    def _start(self) -> tuple[int, ShadowTable]:
        """The level of the first entry to read, and the table that it is in."""
        for level in UPPER_LEVELS:
            cache, number = self.core.guest_caches[level], prefix(level, self.vpn)
            if self._probe(cache, self.view.walk_tag, number):
                self.host_walk_cache_hits += 1
                line = cache.find(self.view.walk_tag, number)
                assert line and isinstance(line.leads_to, ShadowTable)
                return level - 1, line.leads_to
        return self.spaces.levels, self.root

    def _keep(self, level: int, below: ShadowTable) -> None:
        cache, number = self.core.guest_caches[level], prefix(level, self.vpn)
        self._fill(cache, self.view.walk_tag, number)
        line = cache.find(self.view.walk_tag, number)
        if line and not self.is_quiet:
            line.leads_to = below
