"""A core: its clock, its queue, and the caches that the vCPUs pinned to it share."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from vmcfg.scenario.spec import Cpu

from .caches import Cache, Tag, cache_of
from .lines import Lines
from .memory import page_count, prefix

if TYPE_CHECKING:
    from .spaces import View
    from .vcpu import Vcpu

FETCH, LOAD, STORE = 0, 1, 2
UPPER_LEVELS = (2, 3, 4, 5)  # the levels whose entries point to tables, from the one nearest the leaf


class Core:
    def __init__(self, cpu: Cpu, lines: Lines | None = None, used: str = "all") -> None:
        assert cpu.l1_tlb is not None
        self.cpu = cpu
        self.lines = lines  # the data caches, if they are modelled
        self.l1 = cache_of(cpu.l1_tlb)
        self.l1_instructions = cache_of(cpu.l1_itlb) if cpu.l1_itlb else self.l1
        self.l2 = cache_of(cpu.l2_tlb)
        self.tlbs = (self.l1, self.l1_instructions, self.l2)
        self.guest_caches = {level: cache_of(cpu.guest_walk_caches.get(level)) for level in UPPER_LEVELS}
        host_shapes = {} if used == "1d" else cpu.host_walk_caches
        self.host_caches = {level: cache_of(host_shapes.get(level)) for level in UPPER_LEVELS}
        self.nested_tlb = cache_of(None if used in ("1d", "2d") else cpu.nested_tlb)
        self.nested_tlb_holds_data = used == "2d_nested_tlb_data"
        self.large = _large_homes(self)
        self.clock = 0
        self.asleep: list[Vcpu] = []  # not started yet
        self.queue: list[Vcpu] = []  # runnable; the first has the core or gets it next
        self.head: Vcpu | None = None  # who holds the core, and since when
        self.head_since = 0
        self.ran_last: Vcpu | None = None

    def first_level(self, kind: int) -> Cache:
        return self.l1_instructions if kind == FETCH else self.l1

    def home(self, which: str, level: int, kind: int) -> Cache | None:
        """Where `l1` or `l2` keeps entries of a large size; fetches have a first level of their own only beside it."""
        cache = self.large[which, level]
        return self.first_level(kind) if cache is self.l1 else cache

    def drop_linear(self, view: View, vpn: int) -> None:
        """After a fault: the page's TLB entries and the guest-dimension walk-cache entries on its path."""
        for tlb in self.tlbs:
            tlb.drop(view.tlb_tag, vpn)
        for level, home in self._large_homes():
            home.drop(of_size(view.tlb_tag, level), prefix(level, vpn))
        for level, cache in self.guest_caches.items():
            cache.drop(view.walk_tag, prefix(level, vpn, view.bits))

    def drop_pages(self, tags: Collection[Tag], pages: range) -> None:
        """INVLPG: one page's TLB entries, in whatever parts, and all guest-dimension walk-cache entries."""
        self._drop_parts(tags, pages)
        for cache in self.guest_caches.values():
            cache.drop_tags(tags)

    def drop_page_of(self, tags: Collection[Tag], pages: range, vpn: int, bits: int) -> None:
        """INVPCID of a page: its TLB entries likewise, and the walk-cache entries on the path to `vpn`."""
        self._drop_parts(tags, pages)
        for level, cache in self.guest_caches.items():
            for tag in tags:
                cache.drop(tag, prefix(level, vpn, bits))

    def _drop_parts(self, tags: Collection[Tag], pages: range) -> None:
        for tag in tags:
            for vpn in pages:
                for tlb in self.tlbs:
                    tlb.drop(tag, vpn)
                for level, home in self._large_homes():
                    if len(pages) >= page_count(level):
                        home.drop(of_size(tag, level), prefix(level, vpn))

    def drop_spaces(self, tags: Collection[Tag]) -> None:
        """All translations under these tags."""
        for cache in (*self.tlbs, *self.guest_caches.values()):
            cache.drop_tags(tags)
        for level, home in self._large_homes():
            home.drop_tags([of_size(tag, level) for tag in tags])

    def drop_memory(self, vm: str) -> None:
        """INVEPT: all guest-physical translations of a VM."""
        for cache in (self.nested_tlb, *self.host_caches.values()):
            cache.drop_tags([vm])

    def drop_guest_physical(self, vm: str, ppn: int) -> None:
        """After an EPT violation: the host-dimension and nested-TLB entries of the guest-physical address."""
        self.nested_tlb.drop(vm, ppn)
        for level, cache in self.host_caches.items():
            cache.drop(vm, prefix(level, ppn))

    def flush_untagged(self) -> None:
        """An exit without VPID: linear and combined mappings go, guest-physical ones stay."""
        large = [home for home in self.large.values() if home is not None]
        for cache in (*self.tlbs, *large, *self.guest_caches.values()):
            cache.flush()

    def _large_homes(self) -> Iterator[tuple[int, Cache]]:
        """All caches that may hold large entries, with the level of these; also those that fetches use."""
        for which, level in self.large:
            for kind in (FETCH, STORE):
                home = self.home(which, level, kind)
                if home is not None:
                    yield level, home


def of_size(tag: Any, level: int) -> Any:
    """Under which tag large entries are held, so that nobody takes them for others in the same cache."""
    return tag if level == 1 else (tag, level)


def _large_homes(core: Core) -> dict[tuple[str, int], Cache | None]:
    """The caches for entries of 2 MiB (level 2) and 1 GiB (level 3), in `l1` and `l2`; None where there is none."""
    declared = core.cpu.large_tlbs
    homes: dict[tuple[str, int], Cache | None] = {}
    for which, shared in (("l1", core.l1), ("l2", core.l2 if core.cpu.l2_tlb else None)):
        for level, name in ((2, "2m"), (3, "1g")):
            home = getattr(declared, f"{which}_{name}") if declared else None
            homes[which, level] = shared if home == "shared" else cache_of(home) if home else None
    return homes
