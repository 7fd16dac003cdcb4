"""Combinations that no machine has are refused, each by its row in one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads
from vmcfg.scenario.checks.machine import REFUSED
from vmcfg.scenario.checks.memory import table_pages

SMALLEST = (Path(__file__).parent / "good" / "smallest.yaml").read_text("utf-8")
SHADOW = ["mmu.mode=shadow"]
ASKING = "mmu.dirty_log={every: 1s}"
RANDOM = "hosts.esx.reclaim.paging.victim=random"
PAGED = [RANDOM, "hosts.esx.swap={size: 1GiB}"]
SWAPPING = "vms.web.swap={size: 1GiB}"
FORESEEN = "vms.web.reclaim.victim=opt"
FILED = "vms.web.files={data: {size: 1MiB}}"
BALLOONED = "vms.web.balloon={target: 4KiB}"
REPORTING = "vms.web.free_page_reporting={every: 2s}"
PAGING = "hosts.esx.reclaim.paging"
NO_TLB = "mmu.tlb=none"
UNPAGED = ["vms.web.page_table=none"]
EXAMPLES = {
    "foresight of files": [FILED, FORESEEN, "run.accesses=9"],
    "foresight of what is populated": [SWAPPING, FORESEEN, "vms.web.populate=at_start", "run.accesses=9"],
    "nested without ept": ["cpu.features=[]"],
    "promotion in other modes": ["mmu.mode=native", "mmu.promote={every: 10}"],
    "promotion in a flat table": ["mmu.host_table=flat", "mmu.promote={every: 10}"],
    "vpid without tags": ["mmu.mode=native", "mmu.vpid=true", "cpu.features=[ept]"],
    "pcid in shadow": [*SHADOW, "mmu.pcid=true"],
    "installs_on_write without cached": [*SHADOW, "mmu.shadow.variant=unsync", "mmu.shadow.installs_on_write=true"],
    "cr3_targets without cached": [*SHADOW, "mmu.shadow.variant=unsync", "mmu.shadow.cr3_targets=2"],
    "bypass_not_present in a virtual TLB": [
        *SHADOW, "mmu.shadow.variant=virtual_tlb", "mmu.shadow.bypass_not_present=true",
    ],
    "a guest under shadow that does not zero": [*SHADOW, "vms.web.zero_on_fault=false"],
    "pcid without tags": ["mmu.pcid=true", "cpu.features=[ept]"],
    "native backed on touch": ["mmu.mode=native", "vms.web.backing=on_touch"],
    "paravirt backed on touch": ["mmu.mode=paravirt", "vms.web.backing=on_touch"],
    "vpid in paravirt": ["mmu.mode=paravirt", "mmu.vpid=true"],
    "pcid in paravirt": ["mmu.mode=paravirt", "mmu.pcid=true"],
    "software_tlb backed on touch": ["mmu.mode=software_tlb", "vms.web.backing=on_touch"],
    "vpid in software_tlb": ["mmu.mode=software_tlb", "mmu.vpid=true"],
    "data caches without walks": ["mmu.mode=software_tlb", "cpu.data_caches=profile"],
    "software_tlb elsewhere": ["mmu.software_tlb={entries: 64}"],
    "paravirt elsewhere": ["mmu.paravirt.batch=8"],
    "host table in native": ["mmu.mode=native", "mmu.host_table=flat"],
    "nested caches in native": ["mmu.mode=native", "mmu.nested_caches=1d"],
    "nested_caches without the host's": ["mmu.nested_caches=2d", "cpu.walk_caches.host=none"],
    "nested_caches without a nested TLB": ["mmu.nested_caches=2d_nested_tlb_data", "cpu.nested_tlb=none"],
    "pml in native": ["mmu.mode=native", "mmu.pml=true"],
    "pml without the feature": ["mmu.pml=true"],
    "dirty_log in other modes": [*SHADOW, ASKING],
    "dirty_log without D bits": [ASKING, "cpu.features=[ept]"],
    "dirty_log by a log that is not there": ["mmu.dirty_log={every: 1s, by: pml}", "cpu.features=[ept, ept_ad]"],
    "dirty_log by protection beside pml": [
        "mmu.dirty_log={every: 1s, by: write_protection}", "mmu.pml=true", "cpu.features=[ept, ept_ad, pml]",
    ],
    "dirty_log of large pages": [ASKING, "mmu.page_size=2MiB", "cpu.features=[ept, ept_ad]"],
    "dirty_log beside host paging": [ASKING, *PAGED, "cpu.features=[ept, ept_ad]"],
    "host_table of five levels": ["mmu.host_table=5_level"],
    "page_table of five levels": ["vms.web.page_table=5_level"],
    **{
        f"{key} {where}": [f"mmu.{key}={size}", *sets]
        for key in ("page_size", "table_page_size")
        for where, size, sets in (
            ("in native", "2MiB", ["mmu.mode=native", *["mmu.table_page_size=4KiB"] * (key == "page_size")]),
            ("in a flat table", "2MiB", ["mmu.host_table=flat", *["mmu.table_page_size=4KiB"] * (key == "page_size")]),
            ("of 1GiB", "1GiB", ["cpu.features=[ept]", *["mmu.table_page_size=4KiB"] * (key == "page_size")]),
        )
    },
    "host paging in other modes": ["mmu.mode=native", *PAGED],
    "host paging without swap": [RANDOM],
    "watermarks beside a capacity": [
        *PAGED, f"{PAGING}.watermarks={{start_below: 4%, stop_above: 6%}}", f"{PAGING}.capacity=1MiB",
    ],
    "host paging of large pages": [*PAGED, "mmu.page_size=2MiB"],
    "host paging of large pages under shadow": [*SHADOW, *PAGED, "vms.web.page_size=2MiB"],
    "A bits without ept_ad": [*PAGED, "hosts.esx.reclaim.paging.victim=clock", "cpu.features=[ept]"],
    "A bits for policies that need more": [*PAGED, f"{PAGING}.victim=lru", f"{PAGING}.references=walks"],
    "references for policies without": [*PAGED, f"{PAGING}.references=every_access"],
    "A bits without walks": [*PAGED, NO_TLB, f"{PAGING}.victim=clock", f"{PAGING}.references=walks"],
    "no TLB elsewhere": ["mmu.mode=native", NO_TLB],
    "no TLB beside data caches": [NO_TLB, "cpu.data_caches=profile"],
    "foresight with read-ahead": [*PAGED, f"{PAGING}.victim=opt", f"{PAGING}.read_ahead=8"],
    "guest swap in other modes": ["mmu.mode=paravirt", SWAPPING],
    "guest swap of large pages": [SWAPPING, "vms.web.page_size=2MiB"],
    "guest swap of other tables": [SWAPPING, *UNPAGED],
    "files in other modes": ["mmu.mode=paravirt", FILED],
    "files in large pages": [FILED, "vms.web.page_size=2MiB"],
    "files in other tables": [FILED, *UNPAGED],
    "a balloon in other modes": ["mmu.mode=native", BALLOONED],
    "a balloon of large pages": [BALLOONED, "vms.web.page_size=2MiB"],
    "reports in other modes": ["mmu.mode=native", REPORTING],
    "reports of large pages": [REPORTING, "vms.web.page_size=2MiB"],
    "reports without paging": [REPORTING, *UNPAGED],
    "a zero-page thread of large pages": ["vms.web.zero_thread=20MiB/s", "vms.web.page_size=2MiB"],
    "kills without paging": ["vms.web.oom=kill", *UNPAGED],
    "a balloon without paging": [BALLOONED, *UNPAGED],
    "paging off elsewhere": ["mmu.mode=native", "vms.web.page_table=none"],
    "populate without paging": [*UNPAGED, "vms.web.populate=at_start"],
    "zero_on_fault without paging": [*UNPAGED, "vms.web.zero_on_fault=false"],
    "page_size without paging": [*UNPAGED, "vms.web.page_size=2MiB"],
    "kpti without paging": [*UNPAGED, "vms.web.kpti=true"],
    "32 bits in other modes": [*SHADOW, "vms.web.page_table=pae"],
    "page_size in two levels": ["vms.web.page_table=2_level", "vms.web.page_size=2MiB"],
    "kpti in two levels": ["vms.web.page_table=2_level", "vms.web.kpti=true"],
    "page_size of 1GiB in 32 bits": ["vms.web.page_table=pae", "vms.web.page_size=1GiB"],
    "large guest pages in paravirt": ["mmu.mode=paravirt", "vms.web.page_size=2MiB"],
    "large guest pages in software_tlb": ["mmu.mode=software_tlb", "vms.web.page_size=2MiB"],
    "guest pages of 1GiB": ["vms.web.page_size=1GiB", "cpu.features=[ept]"],
    "ept_ad without ept": ["mmu.mode=native", "cpu.features=[ept_ad]"],
    "pml without ept_ad": ["cpu.features=[ept, pml]"],
    "invpcid without pcid": ["cpu.features=[ept, invpcid]"],
}


def test_every_refusal_has_an_example() -> None:
    """A new row in the table needs one here."""
    assert set(EXAMPLES) == {refusal.name for refusal in REFUSED}


@pytest.mark.parametrize("refusal", REFUSED, ids=lambda refusal: refusal.name)
def test_a_combination_that_no_machine_has_is_refused(refusal) -> None:
    """By exactly one fault, which says what was expected."""
    with pytest.raises(InvalidScenario) as raised:
        loads(SMALLEST, sets=EXAMPLES[refusal.name])
    assert 1 == len(raised.value.diagnostics)
    assert refusal.expected in str(raised.value)


@pytest.mark.parametrize("part", ["swap={size: 1GiB}", "balloon={target: 4KiB}", "free_page_reporting={}"])
def test_a_part_that_cannot_be_is_named_as_a_whole(part: str) -> None:
    """Not by a figure in it, which may be a default that nobody wrote, in units that nobody asked for."""
    with pytest.raises(InvalidScenario, match=rf"vms\.web\.{part.partition('=')[0]}: found one, expected no"):
        loads(SMALLEST, sets=["mmu.mode=paravirt", f"vms.web.{part}"])


def test_an_exclusive_or_needs_a_power_of_two_of_sets() -> None:
    """Three sets have no bits of their own; eight have three."""
    with pytest.raises(InvalidScenario, match="found xor with 3 sets, expected modulo"):
        loads(SMALLEST, sets=["cpu.tlb.l2={entries: 12, ways: 4, index: xor}"])
    folded = loads(SMALLEST, sets=["cpu.tlb.l2={entries: 32, ways: 4, index: xor}"]).hosts[0].cpu.l2_tlb
    assert folded is not None
    assert "xor" == folded.index


def test_amd_tags_serve_as_vpid() -> None:
    """AMD has ASIDs and no VPID; both keep translations apart."""
    assert loads(SMALLEST, sets=["cpu.features=[ept, asid]"]).hosts[0].mmu.vpid


@pytest.mark.parametrize(
    ("tables", "spans"),
    [
        (3, [(0, 0)]),  # one of each level below the root
        (3, [(0, 511)]),  # one leaf table is full
        (4, [(0, 512)]),  # a second leaf table
        (512 + 2, [(0, 512 * 512 - 1)]),
        (513 + 3, [(0, 512 * 512)]),
        (3, [(0, 1), (3, 4), (6, 7)]),  # they share all tables
        (6, [(0, 0), (1 << 27, 1 << 27)]),  # they share the root only
        (0, []),
    ],
)
def test_table_pages_are_counted_by_level(tables: int, spans: list[tuple[int, int]]) -> None:
    """A table of a level covers 512 of the level below; spans that meet in one table share it."""
    assert tables == table_pages(spans, 4)


def test_a_fifth_level_adds_one_table_and_a_flat_table_is_all_leaves() -> None:
    """A page alone needs one table of each level below the root, 1,024 pages two leaf tables."""
    assert (3, 4) == (table_pages([(0, 0)], 4), table_pages([(0, 0)], 5))
    assert 2 == table_pages([(0, 1023)], 2)
