"""Watches the translation caches: what is looked up, filled, dropped, flushed and marked dirty."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from vmcfg.hardware import sets as layout
from vmcfg.hardware import stores
from vmcfg.hardware.core import L2, LARGE_TLBS, NESTED_TLB, STORES
from vmcfg.mmu.nested_tlb import ABSENT
from vmcfg.trace import steps
from vmcfg.trace.recorder import Recorder
from vmcfg.trace.twin import Arguments, Run, Watcher
from vmcfg.vmm import machine as at


class CacheWatch:
    """Stands before the verbs of set-associative stores."""

    def __init__(self, told: Recorder) -> None:
        self._told = told

    def watchers(self) -> dict[str, Watcher]:
        """Return what stands before which kernel."""
        return {
            "vmcfg.hardware.sets.find": self._find,
            "vmcfg.hardware.assoc.fill": self._fill,
            "vmcfg.hardware.assoc.drop": self._drop,
            "vmcfg.hardware.assoc.drop_pages": self._drop_pages,
            "vmcfg.hardware.assoc.flush": self._flush,
            "vmcfg.hardware.assoc.set_dirty": self._set_dirty,
            "vmcfg.mmu.nested_tlb.probe": self._probe_nested_tlb,
            "vmcfg.mmu.nested_tlb.keep": self._keep_in_nested_tlb,
        }

    def _find(self, run: Run, given: Arguments) -> Any:
        way = run()
        if self._told.is_looking_up:
            cache, number = self._set_of(given)
            found = self._entry(cache, number, int(way))
            self._told.say(
                steps.Probe(
                    cache=self._told.places.cache_name(cache),
                    dimension=self._told.places.dimension_of(cache),
                    set=number,
                    sets=int(self._stores.shape[cache, layout.SETS]),
                    way=found.way if found else None,
                    leads_to=self._told.places.leads_to(cache, found.payload) if found else "",
                    is_dirty=found is not None and found.is_dirty,
                    cycles=self._hit_cycles(cache) if found else 0,
                )
            )
        return way

    @property
    def _stores(self) -> layout.Stores:
        return self._told.machine.stores

    def _set_of(self, given: Arguments) -> tuple[int, int]:
        """Return the cache to which a verb's set belongs, and the set's number there."""
        cache = stores.cache_of(self._stores, int(given["index"]))
        return cache, stores.number_of(self._stores, cache, int(given["index"]))

    def _entry(self, cache: int, number: int, way: int) -> stores.Held | None:
        return next((each for each in stores.held(self._stores, cache) if each[:2] == (number, way)), None)

    def _hit_cycles(self, cache: int) -> int:
        kind = cache % STORES
        if kind < L2 or kind in (LARGE_TLBS, LARGE_TLBS + 1):
            return 0
        second = dict.fromkeys((L2, LARGE_TLBS + 2, LARGE_TLBS + 3), at.L2_HIT)
        cost = {**second, NESTED_TLB: at.NESTED_TLB_HIT}.get(kind, at.WALK_CACHE_HIT)
        return int(self._told.machine.cost[cost])

    def _fill(self, run: Run, given: Arguments) -> Any:
        tag = int(given["tag"])
        cache, number = self._set_of(given)
        before = stores.tags_of(self._stores, cache, number)
        run()
        way = stores.tags_of(self._stores, cache, number).index(tag)
        evicted = before[way]
        self._told.say(
            steps.Fill(
                cache=self._told.places.cache_name(cache),
                dimension=self._told.places.dimension_of(cache),
                set=number,
                way=way,
                held=self._told.places.held(cache, tag),
                leads_to=self._told.places.leads_to(cache, int(given["payload"])),
                is_dirty=bool(given["dirty"]),
                evicted=None if evicted in (layout.EMPTY, tag) else self._told.places.held(cache, evicted),
            )
        )

    def _drop(self, run: Run, given: Arguments) -> Any:
        built, tag = given["built"], int(given["tag"])
        if not built[layout.SETS]:  # the processor lacks this one
            return
        cache = stores.cache_of(self._stores, int(built[layout.BASE]))
        dropped = [each for each in stores.held(self._stores, cache) if each.tag == tag]
        with self._told.no_lookups():
            run()
        self._say_dropped(cache, dropped)

    def _drop_pages(self, run: Run, given: Arguments) -> Any:
        cache = int(given["cache"])
        before = list(stores.held(self._stores, cache))
        run()
        after = list(stores.held(self._stores, cache))
        self._say_dropped(cache, [each for each in before if each not in after])

    def _say_dropped(self, cache: int, dropped: list[stores.Held]) -> None:
        for each in dropped:
            name, what = self._told.places.cache_name(cache), self._told.places.held(cache, each.tag)
            self._told.say(steps.Drop(name, each.set, each.way, what))

    def _flush(self, run: Run, given: Arguments) -> Any:
        cache = int(given["cache"])
        entries = len(list(stores.held(self._stores, cache)))
        run()
        if self._stores.shape[cache, layout.SETS]:
            self._told.say(steps.Flush(self._told.places.cache_name(cache), entries))

    def _probe_nested_tlb(self, run: Run, given: Arguments) -> Any:
        with self._told.inside() as inner:
            page = run()
        for step in inner:
            assert isinstance(step, steps.Probe)
            is_useless = page == ABSENT and step.way is not None
            self._told.say(evolve(step, serves=False, cycles=0) if is_useless else step)
        return page

    def _keep_in_nested_tlb(self, run: Run, given: Arguments) -> Any:
        with self._told.no_lookups():  # it searches for what it fills
            return run()

    def _set_dirty(self, run: Run, given: Arguments) -> Any:
        cache, number = self._set_of(given)
        run()
        self._told.say(steps.SetDirty(self._told.places.cache_name(cache), number, int(given["way"])))
