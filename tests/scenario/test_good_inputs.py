"""What a valid scenario becomes: exact integers, every default, and where each value came from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import load, loads, spec

GOOD = Path(__file__).parent / "good"
SMALLEST = (GOOD / "smallest.yaml").read_text("utf-8")
EVERYTHING = load(GOOD / "everything.yaml")


def test_defaults_are_filled_in() -> None:
    """The smallest scenario is complete: the schema's defaults stand in every field."""
    scenario = load(GOOD / "smallest.yaml")
    assert spec.Run(None, 1000, False, 100_000_000, 100_000, None, None) == scenario.run
    assert spec.Vm("web", "web", "esx", 4096, 0, 1, 0, "on_touch", "on_touch", True, "scan") == scenario.vms[0]
    assert ("vms", "translation", "exits", "memory") == scenario.tables
    assert (0, 10_000_000, 1) == (scenario.seed, scenario.hosts[0].quantum_ns, scenario.hosts[0].cores)


def test_quantities_become_exact_integers() -> None:
    """Bytes become pages, times nanoseconds, shares parts per million, decimals stay text."""
    phases = EVERYTHING.workloads[0].phases
    assert spec.Run(1_500_000_000, None, False, 10_000_000, 50_000, None, 20_000_000) == EVERYTHING.run
    assert (spec.Rate(1500, 1), 125_000, 4, 2500) == (
        phases[0].rate, phases[0].write_ppm, phases[0].accesses_per_touch, phases[0].accesses)
    assert ("0.8", "contiguous") == (phases[1].pattern.alpha, phases[1].pattern.order)
    assert (256, 995_000, "scattered") == (
        phases[2].pattern.hot_pages, phases[2].pattern.hot_share_ppm, phases[2].pattern.order)
    assert (1 << 64) - 1 == EVERYTHING.seed


def test_zipf_with_alpha_zero_is_uniform() -> None:
    """All weights are 1, so it is the same pattern and draws the same pages."""
    assert spec.Pattern("uniform", 3) == EVERYTHING.workloads[0].phases[3].pattern


def test_regions_lie_in_written_order_at_gibibyte_boundaries() -> None:
    """From 0x400000; a base is taken as given, and the next region follows behind it."""
    mixed = EVERYTHING.workloads[0]
    gib = 1 << 18  # pages
    after_stack = 0x7F0000000 + gib
    assert [("heap", 0x400, 16384), ("stack", 0x7F0000000, 256), ("phase-3", after_stack, 2048),
            ("phase-4", after_stack + gib, 1024)] == [(r.name, r.base_vpn, r.pages) for r in mixed.regions]


def test_count_makes_numbered_vms_in_order() -> None:
    """web with count 3 is web-1, web-2 and web-3; a VM without count keeps its name."""
    assert ["web-1", "web-2", "web-3", "db", "metal"] == [vm.name for vm in EVERYTHING.vms]
    assert "web" == EVERYTHING.vms[1].declared


def test_overrides_go_over_the_profile_figure_by_figure() -> None:
    """Only what the scenario sets differs from the profile, and what it sets is no longer assumed."""
    cpu = EVERYTHING.hosts[0].cpu
    small = spec.CacheShape(16, 4)
    assert (small, spec.CacheShape(8, 8), None) == (cpu.l1_tlb, cpu.l1_itlb, cpu.l2_tlb)
    assert {2: spec.CacheShape(32, 8), 4: spec.CacheShape(2, 2)} == cpu.guest_walk_caches
    assert small == cpu.host_walk_caches[2]
    assert (2000, 7) == (cpu.costs["exit"], cpu.costs["l2_tlb_hit"])
    assert not {"hz", "nested_tlb"} & set(cpu.assumed)
    assert "costs.walk_reference" in cpu.assumed


def test_the_mode_and_the_processor_decide_what_is_left_out() -> None:
    """Native is backed at start; tags follow the processor; the only host need not be named."""
    metal, bare = EVERYTHING.vms[4], EVERYTHING.hosts[1]
    assert ("at_start", True) == (metal.backing, bare.mmu.vpid)
    assert spec.Origin("mode", "native") == EVERYTHING.origins["vms.metal.backing"]
    assert spec.Origin("profile", "cascade_lake") == EVERYTHING.origins["hosts.bare.mmu.vpid"]
    assert not load(GOOD / "smallest.yaml", ["cpu=pentium_4", "mmu.mode=native"]).hosts[0].mmu.vpid


def test_every_value_knows_its_origin() -> None:
    """A line of the file, a default, a profile, or the text of a --set."""
    path = str(GOOD / "smallest.yaml")
    origins = load(path, ["cpu.costs.exit=7"]).origins
    assert spec.Origin("file", f"{path}:6") == origins["hosts.esx.mmu.mode"]
    assert spec.Origin("default") == origins["run.epoch"]
    assert spec.Origin("profile", "haswell") == origins["hosts.esx.cpu.costs.access"]
    assert spec.Origin("set", "cpu.costs.exit=7") == origins["hosts.esx.cpu.costs.exit"]


def test_nested_memory_may_be_overcommitted_on_touch() -> None:
    """Whether frames suffice shows in the run; native VMs and those backed at start must fit."""
    assert 4 == len(loads(SMALLEST, sets=["vms.web.count=4", "hosts.esx.memory=17MiB"]).vms)
    for edits in (["mmu.mode=native"], ["vms.web.backing=at_start"]):
        with pytest.raises(InvalidScenario, match="for what its VMs hold at start"):
            loads(SMALLEST, sets=["vms.web.count=4", "hosts.esx.memory=17MiB", *edits])


def test_what_must_fit_at_start_is_counted_to_the_page() -> None:
    """4096 pages, 8 + 1 + 1 EPT tables and the root are 4107 frames = 16428 KiB; one page less is refused."""
    exact = ["vms.web.backing=at_start", "hosts.esx.memory=16428KiB"]
    assert 4107 == loads(SMALLEST, sets=exact).hosts[0].memory_pages
    with pytest.raises(InvalidScenario, match="expected at least 16428KiB"):
        loads(SMALLEST, sets=[*exact[:1], "hosts.esx.memory=16424KiB"])


def test_loading_needs_neither_numpy_nor_numba() -> None:
    """And importing the package needs neither YAML nor JSON Schema."""
    program = (
        "import sys, vmcfg.scenario as s\n"
        "assert not {'yaml', 'jsonschema', 'numpy', 'numba'} & set(sys.modules)\n"
        f"s.load({str(GOOD / 'smallest.yaml')!r})\n"
        "assert not {'numpy', 'numba'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(spec.__file__).parents[2])
