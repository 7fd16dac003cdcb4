"""A processor: its translation caches, data caches and costs. A part of the Scenario: see `scenario.spec`."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from vmcfg.scenario.spec_workload import LATER, LINE_BYTES

SHARED = "shared"  # where entries of large pages are held with the others


@frozen
class CacheShape:
    """A translation cache of `entries` in `ways`: `entries // ways` sets, replaced by `policy` (`lru`, `plru`).

    `index` says which set: page mod sets (`modulo`), or the same after an exclusive-or of the bits above (`xor`).
    """

    entries: int
    ways: int
    policy: str = "lru"
    index: str = field(default="modulo", metadata=LATER)


@frozen
class LargeTlbs:
    """Where a core keeps TLB entries of 2 MiB and 1 GiB: in a cache of their own, with the others (SHARED), nowhere."""

    l1_2m: CacheShape | str | None
    l1_1g: CacheShape | str | None
    l2_2m: CacheShape | str | None
    l2_1g: CacheShape | str | None


@frozen
class DataCache:
    """A cache of memory lines: `size_bytes` in sets of `ways`, LRU."""

    size_bytes: int
    ways: int
    latency: int  # cycles of a reference that hits in it

    @property
    def sets(self) -> int:
        return self.size_bytes // (LINE_BYTES * self.ways)


@frozen
class DataCaches:
    """The data caches that references of page walks go through; L1 and L2 are a core's own."""

    l1: DataCache
    l2: DataCache | None
    llc: DataCache | None  # the last level, which all cores share
    memory_latency: int


@frozen
class Cpu:
    """A processor profile with the scenario's overrides applied."""

    profile: str
    hz: int
    features: tuple[str, ...]  # sorted: ept, vpid, pcid, ept_ad, ...
    l1_tlb: CacheShape | None
    l1_itlb: CacheShape | None  # None: fetches use the data TLB
    l2_tlb: CacheShape | None
    guest_walk_caches: Mapping[int, CacheShape]  # by the level of the entries they hold: 2 = PDE, 3 = PDPTE, 4 = PML4E
    host_walk_caches: Mapping[int, CacheShape]
    nested_tlb: CacheShape | None
    walkers: int
    costs: Mapping[str, int]  # cycles, by the names in the profile schema
    assumed: tuple[str, ...] = field(eq=False)  # dotted names of the figures that are only assumed
    data_caches: DataCaches | None = field(default=None, metadata=LATER)  # None: a reference costs `walk_reference`
    large_tlbs: LargeTlbs | None = field(default=None, metadata=LATER)  # None: no guest on the host has large pages
