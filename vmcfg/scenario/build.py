"""Checked settings to the Scenario: names resolved, regions placed, every number in its final unit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve

from vmcfg import units
from vmcfg.scenario import spec
from vmcfg.scenario.build_mmu import cache_of, mmu_of
from vmcfg.scenario.build_paging import compression, host_paging, swap_area, under_pressure, with_disks
from vmcfg.scenario.build_workload import workload
from vmcfg.scenario.claims import claims
from vmcfg.scenario.layout import TABLE_LEVELS, Instance, has_large_pages, instances
from vmcfg.scenario.settings import Settings

LEVELS = {"pde": 2, "pdpte": 3, "pml4e": 4, "pml5e": 5}
COSTS_OF_PML = ("pml_full",)  # came later: scenarios that do not use it keep their digests
COSTS_OF_COMPRESSION = ("compress_page", "decompress_page")  # likewise


def build(
    name: str, path: Path | None, directory: Path, settings: Settings, picked: dict[str, str],
    assumed: dict[str, tuple[str, ...]], origins: dict[str, spec.Origin], variants: dict[str, spec.Scenario],
) -> spec.Scenario:
    """Makes the Scenario of settings in which no check found a fault; `variants` are those of its comparison."""
    expect = settings["expect"] or []
    return spec.Scenario(
        name=name,
        path=path,
        metadata=_metadata(settings["metadata"]),
        seed=settings["seed"],
        run=_run(settings["run"]),
        hosts=tuple(
            with_disks(settings, _host(host, given, assumed[host], _has_large_pages(settings, host)))
            for host, given in settings["hosts"].items()
        ),
        vms=tuple(
            _vm(instance, settings["hosts"][instance.settings["host"]])
            for instance in instances(settings["vms"], picked)
        ),
        workloads=tuple(workload(each, given, directory) for each, given in settings["workloads"].items()),
        tables=tuple(settings["tables"]),
        origins=origins,
        claims=claims(expect, origins) if isinstance(expect, list) else (),
        expected_error=spec.ExpectedError(expect["error"], expect["source"]) if isinstance(expect, dict) else None,
        comparison=spec.Comparison(next(iter(settings["compare"])), tuple(variants.items())) if variants else None,
    )


def _metadata(given: Settings) -> spec.Metadata:
    return spec.Metadata(given["title"], given["description"], tuple(given["tags"]), given["source"])


def _run(given: Settings) -> spec.Run:
    kind, amount = given["warmup"]
    is_to_the_end = given["accesses"] == "all"
    return spec.Run(
        duration_ns=given["duration"],
        accesses=None if is_to_the_end else given["accesses"],
        to_the_end=is_to_the_end,
        epoch_ns=given["epoch"],
        slice_ns=given["slice"],
        warmup_touches=amount if kind == "count" and amount else None,
        warmup_ns=amount if kind == "duration" and amount else None,
        sample_ns=given["sample"], curve_ppm=given["curve"] or 0,
    )


def _host(name: str, given: Settings, assumed: tuple[str, ...], has_large_guest_pages: bool) -> spec.Host:
    mmu = mmu_of(given["mmu"])
    squeezing = compression(given["reclaim"]["compression"])
    unused = COSTS_OF_PML * (not mmu.logs_pages) + COSTS_OF_COMPRESSION * (squeezing is None)
    cpu = _cpu(given["cpu"], assumed, unused)
    if has_large_guest_pages:
        cpu = evolve(cpu, large_tlbs=_large_tlbs(given["cpu"]["tlb"]))
    return spec.Host(
        name,
        given["memory"],
        given["cores"],
        given["quantum"],
        cpu,
        mmu,
        swap=swap_area(given["swap"], given),
        paging=host_paging(given["reclaim"]["paging"], given["memory"]),
        compression=squeezing,
    )


def _has_large_pages(settings: Settings, host: str) -> bool:
    """Whether a guest of a host can have translations larger than 4 KiB: only then matters where they are held.

    Without paging its pages are as large as the host's.
    """
    mmu = settings["hosts"][host]["mmu"]
    has_large_host_pages = mmu["page_size"] != "4KiB" or mmu["promote"] is not None
    own = [vm for vm in settings["vms"].values() if vm["host"] == host]
    is_without_paging = any(vm["page_table"] == "none" for vm in own)
    return any(has_large_pages(settings, vm) for vm in own) or (is_without_paging and has_large_host_pages)


def _large_tlbs(given: Settings) -> spec.LargeTlbs:
    homes = [given[key] for key in ("l1_2m", "l1_1g", "l2_2m", "l2_1g")]
    return spec.LargeTlbs(*(home if home == spec.SHARED else cache_of(home) for home in homes))


def _cpu(given: Settings, assumed: tuple[str, ...], unused_costs: tuple[str, ...]) -> spec.Cpu:
    walk_caches = given["walk_caches"]
    guest, host = ("none", "none") if walk_caches == "none" else (walk_caches["guest"], walk_caches["host"])
    return spec.Cpu(
        profile=given["profile"],
        hz=given["hz"],
        features=tuple(sorted(given["features"])),
        l1_tlb=cache_of(given["tlb"]["l1"]),
        l1_itlb=cache_of(given["tlb"]["l1_instructions"]),
        l2_tlb=cache_of(given["tlb"]["l2"]),
        guest_walk_caches=_walk_caches(guest),
        host_walk_caches=_walk_caches(host),
        nested_tlb=cache_of(given["nested_tlb"]),
        walkers=given["walkers"],
        costs={name: cycles for name, cycles in given["costs"].items() if name not in unused_costs},
        assumed=assumed,
        data_caches=_data_caches(given["data_caches"]),
    )


def _data_caches(given: Any) -> spec.DataCaches | None:
    if given == "none":
        return None
    l1, l2, llc = (_data_cache(given[level]) for level in ("l1", "l2", "llc"))
    assert l1 is not None
    return spec.DataCaches(l1, l2, llc, given["memory"])


def _data_cache(given: Any) -> spec.DataCache | None:
    return None if given == "none" else spec.DataCache(given["size"], given["ways"], given["latency"])


def _walk_caches(given: Any) -> dict[int, spec.CacheShape]:
    if given is None or given == "none":
        return {}
    shapes = {level: cache_of(given[name]) for name, level in LEVELS.items()}
    return {level: shape for level, shape in shapes.items() if shape is not None}


def _vm(instance: Instance, host: Settings) -> spec.Vm:
    given = instance.settings
    return spec.Vm(
        name=instance.name,
        declared=instance.declared,
        host=given["host"],
        memory_pages=given["memory"],
        kernel_pages=given["kernel_memory"],
        vcpus=given["vcpus"],
        start_ns=given["start"],
        populate=given["populate"],
        backing=given["backing"],
        zero_on_fault=given["zero_on_fault"],
        workload=given["workload"],
        table_levels=TABLE_LEVELS[given["page_table"]],
        kpti=given["kpti"],
        pcids=given["pcids"],
        page_size=units.parse_size(given["page_size"]),
        **under_pressure(given, host),
    )
