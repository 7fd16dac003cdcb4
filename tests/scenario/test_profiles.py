"""Processor profiles: each is complete, says who knows, and has the features that its years allow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmcfg import resources
from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads, profiles, schema
from vmcfg.scenario.spec import Cpu

SMALLEST = (Path(__file__).parent / "good" / "smallest.yaml").read_text("utf-8")
NAMES = resources.profile_names()

# Intel by the generation that brought them: EPT and VPID in Nehalem (2008), PCID and 1 GiB pages in
# Westmere (2010), INVPCID and A and D bits of EPT in Haswell (2013), PML in Broadwell (2014), 5 levels in Ice Lake
# (2019). AMD: nested paging in K10 (2007), whose nested tables are ordinary ones, with A and D bits, and 1 GiB pages
# with it; ASIDs since its first virtualization; PCID and INVPCID in Zen 3, 5 levels in Zen 4, later than all here.
COLUMNS = ("ept", "ept_ad", "vpid", "asid", "pcid", "invpcid", "pml", "pdpe1gb", "la57")
FEATURES = """
    pentium_4      -     -      -     -     -      -       -      -       -
    merom          -     -      -     -     -      -       -      -       -
    nehalem        x     -      x     -     -      -       -      -       -
    sandy_bridge   x     -      x     -     x      -       -      x       -
    haswell        x     x      x     -     x      x       -      x       -
    cascade_lake   x     x      x     -     x      x       x      x       -
    golden_cove    x     x      x     -     x      x       x      x       x
    k10            x     x      -     x     -      -       -      x       -
    zen_1          x     x      -     x     -      -       -      x       -
    zen_2          x     x      -     x     -      -       -      x       -
"""


def test_every_processor_has_the_features_of_its_year() -> None:
    """The table above follows from the years beside it; the profiles have to agree with it."""
    rows = [line.split() for line in FEATURES.split("\n") if line.strip()]
    expected = {name: {f for f, mark in zip(COLUMNS, marks, strict=True) if mark == "x"} for name, *marks in rows}
    assert expected == {name: set(profiles.load(name).figures["features"]) for name in NAMES}


def test_the_table_of_features_leaves_none_out() -> None:
    """A new feature needs a column above, and so a decision for each processor."""
    assert sorted(COLUMNS) == sorted(schema.load("cpu")["$defs"]["features"]["items"]["enum"])


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_follows_its_schema(name: str) -> None:
    """A start takes that for granted, so it has to be asked here."""
    profiles.check(name)


def test_a_profile_that_breaks_its_schema_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above relies on: a figure without evidence is a fault, with its place."""
    shipped = resources.profile_directory() / "haswell.yaml"
    (tmp_path / "haswell.yaml").write_text(shipped.read_text("utf-8").replace("source:", "sauce:", 1), "utf-8")
    monkeypatch.setattr(resources, "profile_directory", lambda: tmp_path)
    with pytest.raises(InvalidScenario, match=r"haswell\.yaml:\d+:\d+.*sauce"):
        profiles.check("haswell")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_is_complete(name: str) -> None:
    """Each loads, data caches included, and every cost is there but that of a log which the host does not keep."""
    cpu = _cpu(name)
    assert 27 == len(cpu.costs)
    assert cpu.data_caches is not None


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_either_a_source_or_a_reason(name: str) -> None:
    """As many in every profile, and none of them is both."""
    profile = profiles.load(name)
    assert 47 == len({*profile.sourced, *profile.assumed}) == len(profile.sourced) + len(profile.assumed)


@pytest.mark.parametrize("name", NAMES)
def test_nested_paging_is_refused_where_the_processor_lacks_it(name: str) -> None:
    """On Pentium 4 and Merom, by name, and nowhere else."""
    refusal = f"nested needs the feature ept, which {name} lacks" if name in ("pentium_4", "merom") else None
    try:
        loads(SMALLEST, sets=[f"cpu={name}", "mmu.mode=nested"])
    except InvalidScenario as invalid:
        assert refusal is not None, str(invalid)
        assert refusal in str(invalid)
    else:
        assert refusal is None


@pytest.mark.parametrize("name", NAMES)
def test_caches_of_translations_are_whole_sets(name: str) -> None:
    """The ways divide the entries; and there are a power of two of sets, as silicon that indexes by bits has them."""
    shapes = [(shape["entries"], shape.get("ways", shape["entries"])) for shape in _shapes(profiles.load(name).figures)]
    assert shapes
    assert [] == [(entries, ways) for entries, ways in shapes if entries % ways]
    assert [] == [(entries, ways) for entries, ways in shapes if (entries // ways).bit_count() != 1]


@pytest.mark.parametrize("name", NAMES)
def test_a_larger_data_cache_is_a_slower_one(name: str) -> None:
    """Memory is the slowest of all, and an access that hits everywhere costs what the first level does."""
    cpu = _cpu(name)
    assert cpu.data_caches is not None
    levels = [cache for cache in (cpu.data_caches.l1, cpu.data_caches.l2, cpu.data_caches.llc) if cache]
    latencies = [*(cache.latency for cache in levels), cpu.data_caches.memory_latency]
    assert sorted(latencies) == latencies
    assert sorted(cache.size_bytes for cache in levels) == [cache.size_bytes for cache in levels]
    assert cpu.data_caches.l1.latency == cpu.costs["access"]


@pytest.mark.parametrize("name", NAMES)
def test_tagged_tlbs_are_the_default_where_there_are_tags(name: str) -> None:
    """VPID on Intel, ASID on AMD."""
    host = loads(SMALLEST, sets=[f"cpu={name}", "mmu.mode=native"]).hosts[0]
    assert bool({"vpid", "asid"} & set(host.cpu.features)) == host.mmu.vpid


def _cpu(name: str) -> Cpu:
    sets = [f"cpu={name}", "cpu.data_caches=profile", "mmu.mode=native"]
    return loads(SMALLEST, sets=sets).hosts[0].cpu


def _shapes(figures: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every cache of translations, however deep."""
    if "entries" in figures:
        yield figures
    for value in figures.values():
        if isinstance(value, dict):
            yield from _shapes(value)
