"""How a host translates addresses, from settings to the Scenario; caches, and intervals of touches or of time."""

from __future__ import annotations

from math import gcd
from typing import Any

from vmcfg import units
from vmcfg.scenario import spec
from vmcfg.scenario.layout import TABLE_LEVELS
from vmcfg.scenario.settings import Settings

NANOSECONDS = 1_000_000_000


def mmu_of(given: Settings) -> spec.Mmu:
    """Return how a host translates addresses."""
    size, table_size = units.parse_size(given["page_size"]), units.parse_size(given["table_page_size"])
    asking = given["paravirt"]
    levels = TABLE_LEVELS[given["host_table"]]
    return spec.Mmu(
        mode=given["mode"],
        page_size=size,
        vpid=given["vpid"],
        host_levels=levels,
        nested_caches=given["nested_caches"],
        pml=given["pml"],
        shadow=_shadow(given["shadow"]) if given["mode"] == "shadow" else None,
        pcid=given["pcid"],
        table_page_size=table_size,
        batch_updates=asking["batch"],
        pins_roots=asking["pin"],
        software_tlb=cache_of(given["software_tlb"]),
        promotion=_promotion(given["promote"]),
        has_tlb=given["tlb"] != "none",
        dirty_log=_dirty_log(given["dirty_log"]),
    )


def cache_of(given: Any) -> spec.CacheShape | None:
    """Return the shape of a cache, None if there is none."""
    if given is None or given == "none":
        return None
    return spec.CacheShape(given["entries"], given["ways"] or given["entries"], given["policy"], given["index"])


def every(given: tuple[str, int] | None) -> tuple[int, spec.Rate | None]:
    """Return (touches, 0 if a time is given; the rate that stands for such a time, in lowest terms)."""
    kind, amount = given or ("count", 0)
    if kind == "count":
        return amount, None
    common = gcd(amount, NANOSECONDS)
    return 0, spec.Rate(NANOSECONDS // common, amount // common)


def _promotion(given: Settings | None) -> spec.Promotion | None:
    if not given:
        return None
    touches, rate = every(given["every"])
    return spec.Promotion(touches, given["blocks"], given["max_absent"], rate)


def _dirty_log(given: Settings | None) -> spec.DirtyLog | None:
    return spec.DirtyLog(given["every"], given["by"]) if given else None


def _shadow(given: Settings) -> spec.ShadowPaging:
    return spec.ShadowPaging(
        variant=given["variant"],
        installs_on_write=given["installs_on_write"],
        bypasses_not_present=given["bypass_not_present"],
        cr3_targets=given["cr3_targets"],
        unsync_slots=given["unsync_slots"],
    )
