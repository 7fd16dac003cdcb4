"""Run → Tables: typed columns, computed exactly and written once.

A table is one file with its columns and their definitions, and one line in `KINDS`; its name also stands in the
schema. This room knows results and nothing of how they came about.
"""

from __future__ import annotations

from collections.abc import Mapping

from vmcfg.metrics.result import RunResult
from vmcfg.scenario.spec import Scenario
from vmcfg.tables import claims, comparison
from vmcfg.tables.compression import COMPRESSION
from vmcfg.tables.curve import CURVE
from vmcfg.tables.data_caches import DATA_CACHES
from vmcfg.tables.devices import DEVICES
from vmcfg.tables.dirty_log import DIRTY_LOG
from vmcfg.tables.dirty_rounds import DIRTY_ROUNDS
from vmcfg.tables.exits import EXITS
from vmcfg.tables.flushes import FLUSHES
from vmcfg.tables.frames import FRAMES
from vmcfg.tables.guest import GUEST
from vmcfg.tables.hypercalls import HYPERCALLS
from vmcfg.tables.kills import KILLS
from vmcfg.tables.large_pages import LARGE_PAGES
from vmcfg.tables.memory import MEMORY
from vmcfg.tables.page_cache import PAGE_CACHE
from vmcfg.tables.page_sizes import PAGE_SIZES
from vmcfg.tables.paging import PAGING
from vmcfg.tables.series import SERIES
from vmcfg.tables.table import Description, Table, TableKind
from vmcfg.tables.time import TIME
from vmcfg.tables.translation import TRANSLATION
from vmcfg.tables.vms import VMS

KINDS: Mapping[str, TableKind] = {
    kind.name: kind
    for kind in (
        VMS, TRANSLATION, DATA_CACHES, PAGE_SIZES, LARGE_PAGES,
        EXITS, DIRTY_LOG, DIRTY_ROUNDS, HYPERCALLS, GUEST, FLUSHES, MEMORY, PAGING, COMPRESSION, PAGE_CACHE, KILLS,
        DEVICES, TIME, FRAMES, SERIES, CURVE,
    )
}

EXPLAINED: Mapping[str, TableKind | Description] = {
    **KINDS,
    "comparison": Description("comparison", "The same accesses under several settings.", comparison.DESCRIBED),
    "claims": Description("claims", "What the scenario expects of its figures, and what was found.", claims.COLUMNS),
}
"""Every table with its definition, also those that only a scenario with `compare:` or `expect:` has."""

KEYS: Mapping[str, tuple[str, ...]] = {
    name: tuple(column.name for column in kind.columns if column.is_key) for name, kind in EXPLAINED.items()
}
"""The columns that tell a table's rows apart, as far as they stand in it."""

__all__ = ["EXPLAINED", "KEYS", "KINDS", "Table", "TableKind", "build", "claims", "comparison", "names_of"]


def build(scenario: Scenario, result: RunResult) -> dict[str, Table]:
    """Return every table of a run by name, also those that the scenario does not ask for."""
    return {name: KINDS[name].build(scenario, result) for name in names_of(scenario)}


def names_of(scenario: Scenario) -> list[str]:
    """Return the names of the tables that a run has: some of them only where a host has what they are about."""
    is_about_something = {
        DATA_CACHES.name: any(host.cpu.data_caches for host in scenario.hosts),
        PAGE_SIZES.name: scenario.has_large_pages,
        LARGE_PAGES.name: scenario.has_large_pages,
        DIRTY_LOG.name: any(host.mmu.logs_pages for host in scenario.hosts),
        DIRTY_ROUNDS.name: any(host.mmu.dirty_log for host in scenario.hosts),
        PAGING.name: scenario.takes_memory_away,
        PAGE_CACHE.name: any(vm.files for vm in scenario.vms),
        KILLS.name: any(vm.oom == "kill" for vm in scenario.vms),
        COMPRESSION.name: any(host.compression for host in scenario.hosts),
        DEVICES.name: any(host.disks for host in scenario.hosts),
        SERIES.name: scenario.run.sample_ns is not None,
        CURVE.name: scenario.run.curve_ppm > 0,
        HYPERCALLS.name: any(host.mmu.mode == "paravirt" for host in scenario.hosts),
    }
    return [name for name in KINDS if is_about_something.get(name, True)]
