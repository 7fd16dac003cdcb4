"""Watches the translation caches: what is looked up, filled, dropped, flushed and marked dirty."""

from __future__ import annotations

from typing import Any

from vmcfg.hardware import sets as layout
from vmcfg.hardware.core import L2, NESTED_TLB, STORES
from vmcfg.trace import places, steps
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
            "vmcfg.hardware.assoc.flush": self._flush,
            "vmcfg.hardware.assoc.set_dirty": self._set_dirty,
        }

    def _find(self, run: Run, given: Arguments) -> Any:
        way = run()
        if self._told.is_looking_up:
            index = int(given["index"])
            cache = self._told.places.cache_of(index)
            is_hit = bool(way >= 0)
            payload = self._told.places.payload(cache, index, int(way)) if is_hit else 0
            self._told.say(
                steps.Probe(
                    cache=self._told.places.cache_name(cache),
                    dimension=places.dimension_of(cache),
                    set=index - self._told.places.first_set(cache),
                    sets=self._told.places.sets(cache),
                    way=int(way) if is_hit else None,
                    leads_to=self._told.places.leads_to(cache, payload) if is_hit else "",
                    is_dirty=is_hit and self._told.places.is_dirty(index, int(way)),
                    cycles=self._hit_cycles(cache) if is_hit else 0,
                )
            )
        return way

    def _hit_cycles(self, cache: int) -> int:
        kind = cache % STORES
        if kind < L2:
            return 0
        cost = {L2: at.L2_HIT, NESTED_TLB: at.NESTED_TLB_HIT}.get(kind, at.WALK_CACHE_HIT)
        return int(self._told.machine.cost[cost])

    def _fill(self, run: Run, given: Arguments) -> Any:
        index, tag = int(given["index"]), int(given["tag"])
        cache = self._told.places.cache_of(index)
        before = self._told.places.tags_of(cache, index)
        run()
        way = self._told.places.tags_of(cache, index).index(tag)
        evicted = before[way]
        self._told.say(
            steps.Fill(
                cache=self._told.places.cache_name(cache),
                dimension=places.dimension_of(cache),
                set=index - self._told.places.first_set(cache),
                way=way,
                held=self._told.places.held(cache, tag),
                leads_to=self._told.places.leads_to(cache, int(given["payload"])),
                is_dirty=bool(given["dirty"]),
                evicted=None if evicted in (layout.EMPTY, tag) else self._told.places.held(cache, evicted),
            )
        )

    def _drop(self, run: Run, given: Arguments) -> Any:
        cache, tag = int(given["cache"]), int(given["tag"])
        first, sets = self._told.places.first_set(cache), self._told.places.sets(cache)
        held = [(index, self._told.places.tags_of(cache, index)) for index in range(first, first + sets)]
        with self._told.no_lookups():
            run()
        for index, tags in held:
            if tag in tags:
                name, what = self._told.places.cache_name(cache), self._told.places.held(cache, tag)
                self._told.say(steps.Drop(name, index - first, tags.index(tag), what))

    def _flush(self, run: Run, given: Arguments) -> Any:
        cache = int(given["cache"])
        first, sets = self._told.places.first_set(cache), self._told.places.sets(cache)
        tags = [tag for index in range(first, first + sets) for tag in self._told.places.tags_of(cache, index)]
        run()
        if sets:
            entries = sum(tag != layout.EMPTY for tag in tags)
            self._told.say(steps.Flush(self._told.places.cache_name(cache), entries))

    def _set_dirty(self, run: Run, given: Arguments) -> Any:
        index = int(given["index"])
        cache = self._told.places.cache_of(index)
        run()
        name = self._told.places.cache_name(cache)
        self._told.say(steps.SetDirty(name, index - self._told.places.first_set(cache), int(given["way"])))
