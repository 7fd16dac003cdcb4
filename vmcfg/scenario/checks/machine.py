"""Hosts: combinations that no machine has, and caches of shapes that none has.

`REFUSED` is the one table of combinations that are refused; each row says when it applies and why.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from vmcfg import units
from vmcfg.scenario import schema
from vmcfg.scenario.checks import dirty_log, files, page_tables, paging, references
from vmcfg.scenario.checks.caches import check_caches
from vmcfg.scenario.checks.refusal import Refusal, lacks
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.settings import Broken, Settings

NANOSECONDS = 1_000_000_000


def _no_tags(mode: str, tags: str, why: str) -> Refusal:
    return Refusal(
        f"{tags} in {mode}", "hosts", ("mmu", tags), ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] == mode and host["mmu"][tags],
        f"false in mode {mode}", why,
    )


_DEFAULT_PARAVIRT = {
    key: about["default"] for key, about in schema.load("mmu")["properties"]["paravirt"]["properties"].items()
}


def _has_no_host_walk_caches(host: Settings) -> bool:
    caches = host["cpu"]["walk_caches"]
    return caches == "none" or caches["host"] == "none"


def _feature_needs(feature: str, needed: str) -> Refusal:
    return Refusal(
        f"{feature} without {needed}", "hosts", ("cpu", "features"), ("cpu", "features"),
        lambda host, _: feature in host["cpu"]["features"] and needed not in host["cpu"]["features"],
        f"{needed} beside {feature}", f"no processor has {feature} without {needed}",
    )


def _five_levels(section: str, key: Path) -> Refusal:
    def applies(host: Settings, given: Any) -> bool:
        for step in key:
            given = given[step]
        return given == "5_level" and lacks("la57")(host)

    return Refusal(
        f"{key[-1]} of five levels", section, key, ("cpu", "profile"), applies,
        "4_level, or a processor with five", "this needs the feature la57, which {profile} lacks",
    )


def _large_pages(key: str) -> Iterator[Refusal]:
    """Host pages of 2 MiB and 1 GiB need a host, with a tree that has entries for them, and a processor."""
    def is_large(host: Settings) -> bool:
        return host["mmu"][key] != "4KiB"

    at = ("mmu", key)
    yield Refusal(
        f"{key} in native", "hosts", at, ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] not in ("nested", "shadow") and is_large(host),
        "4KiB but in mode nested or shadow", "no other mode has tables of the host's own that are walked",
    )
    yield Refusal(
        f"{key} in a flat table", "hosts", at, ("mmu", "host_table"),
        lambda host, _: host["mmu"]["host_table"] == "flat" and is_large(host),
        "4KiB in a flat host table", "it has an entry for each page of 4KiB, and no others",
    )
    yield Refusal(
        f"{key} of 1GiB", "hosts", at, ("cpu", "profile"),
        lambda host, _: host["mmu"][key] == "1GiB" and lacks("pdpe1gb")(host),
        "4KiB or 2MiB, or a processor with larger pages", "this needs the feature pdpe1gb, which {profile} lacks",
    )


def _only_with(key: str, variant: str, usual: Any, why: str) -> Refusal:
    def applies(host: Settings, _: Settings) -> bool:
        shadow = host["mmu"]["shadow"]
        return bool(host["mmu"]["mode"] == "shadow" and shadow["variant"] != variant and shadow[key] != usual)

    return Refusal(
        f"{key} without {variant}", "hosts", ("mmu", "shadow", key), ("mmu", "shadow", "variant"), applies,
        f"variant {variant} beside {key}", why,
    )


REFUSED = (
    Refusal(
        "pcid in shadow", "hosts", ("mmu", "pcid"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] == "shadow" and host["mmu"]["pcid"],
        "no pcid in mode shadow", "the VMM offers its guests none: it would have to keep a shadow of each",
    ),
    _only_with("installs_on_write", "cached", False, "only there are writes of leaves emulated"),
    _only_with("cr3_targets", "cached", 0, "the others have work to do at each load of CR3"),
    Refusal(
        "bypass_not_present in a virtual TLB", "hosts", ("mmu", "shadow", "bypass_not_present"),
        ("mmu", "shadow", "variant"),
        lambda host, _: host["mmu"]["mode"] == "shadow" and host["mmu"]["shadow"]["bypass_not_present"]
        and host["mmu"]["shadow"]["variant"] == "virtual_tlb",
        "variant cached or unsync beside bypass_not_present",
        "a virtual TLB does not know what the guest's table lacks",
    ),
    Refusal(
        "a guest under shadow that does not zero", "vms", ("zero_on_fault",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] == "shadow" and not vm["zero_on_fault"],
        "true in mode shadow", "a page that held a table would be written through a mapping that is still read-only",
    ),
    Refusal(
        "nested without ept", "hosts", ("mmu", "mode"), ("cpu", "profile"),
        lambda host, _: host["mmu"]["mode"] == "nested" and lacks("ept")(host),
        "native, or a processor with EPT", "nested needs the feature ept, which {profile} lacks",
    ),
    Refusal(
        "vpid without tags", "hosts", ("mmu", "vpid"), ("cpu", "profile"),
        lambda host, _: host["mmu"]["vpid"] and lacks("vpid", "asid")(host),
        "false, or a processor with tagged TLBs", "this needs the feature vpid or asid, which {profile} lacks",
    ),
    Refusal(
        "pcid without tags", "hosts", ("mmu", "pcid"), ("cpu", "profile"),
        lambda host, _: host["mmu"]["pcid"] and lacks("pcid")(host) and host["mmu"]["mode"] != "software_tlb",
        "false, or a processor with PCIDs", "this needs the feature pcid, which {profile} lacks",
    ),
    Refusal(
        "native backed on touch", "vms", ("backing",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] == "native" and vm["backing"] == "on_touch",
        "at_start in mode native", "an operating system on bare metal has all its memory from the start",
    ),
    Refusal(
        "paravirt backed on touch", "vms", ("backing",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] == "paravirt" and vm["backing"] == "on_touch",
        "at_start in mode paravirt", "page tables that hold machine frames need them beforehand",
    ),
    Refusal(
        "software_tlb backed on touch", "vms", ("backing",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] == "software_tlb" and vm["backing"] == "on_touch",
        "at_start in mode software_tlb", "memory at first touch is not built yet for this mode",
    ),
    _no_tags("paravirt", "vpid", "the guest runs outside VMX, and nothing tags its translations"),
    _no_tags("paravirt", "pcid", "the VMM keeps them to itself"),
    _no_tags("software_tlb", "vpid", "the processor's tags are the guest's"),
    Refusal(
        "data caches without walks", "hosts", ("cpu", "data_caches"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] == "software_tlb" and host["cpu"]["data_caches"] != "none",
        "none in mode software_tlb", "only references of walks use them, and nobody walks",
    ),
    Refusal(
        "software_tlb elsewhere", "hosts", ("mmu", "software_tlb"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] != "software_tlb" and host["mmu"]["software_tlb"] != "none",
        "none but in mode software_tlb", "no other mode asks the VMM at a TLB miss",
    ),
    Refusal(
        "paravirt elsewhere", "hosts", ("mmu", "paravirt"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] != "paravirt" and dict(host["mmu"]["paravirt"]) != _DEFAULT_PARAVIRT,
        "mode paravirt, or none of its settings", "no other mode asks the VMM for changes of page tables",
    ),
    Refusal(
        "host table in native", "hosts", ("mmu", "host_table"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] != "nested" and host["mmu"]["host_table"] != "4_level",
        "no host_table but in mode nested", "no other mode has a table of the host's own that is walked",
    ),
    Refusal(
        "nested caches in native", "hosts", ("mmu", "nested_caches"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["mode"] != "nested" and host["mmu"]["nested_caches"] != "all",
        "no nested_caches but in mode nested", "walks have one dimension",
    ),
    Refusal(
        "nested_caches without the host's", "hosts", ("mmu", "nested_caches"), ("cpu", "walk_caches"),
        lambda host, _: host["mmu"]["nested_caches"] not in ("all", "1d") and _has_no_host_walk_caches(host),
        "all, 1d, or a processor with walk caches of the host's dimension",
        "2d is with those, and the cpu has none",
    ),
    Refusal(
        "nested_caches without a nested TLB", "hosts", ("mmu", "nested_caches"), ("cpu", "nested_tlb"),
        lambda host, _: "nested_tlb" in host["mmu"]["nested_caches"] and host["cpu"]["nested_tlb"] == "none",
        "all, 1d, 2d, or a processor with a nested TLB", "the cpu has no nested TLB",
    ),
    *dirty_log.REFUSED,
    _five_levels("hosts", ("mmu", "host_table")),
    _five_levels("vms", ("page_table",)),
    *page_tables.REFUSED,
    *paging.REFUSED,
    *files.REFUSED,
    *references.REFUSED,
    Refusal(
        "large guest pages in paravirt", "vms", ("page_size",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] == "paravirt" and vm["page_size"] != "4KiB",
        "4KiB, or mode native, nested or shadow", "Xen's direct paging knows pages of 4KiB only",
    ),
    Refusal(
        "large guest pages in software_tlb", "vms", ("page_size",), ("mmu", "mode"),
        lambda host, vm: host["mmu"]["mode"] == "software_tlb" and vm["page_size"] != "4KiB",
        "4KiB, or mode native, nested or shadow", "this mode maps pages of 4KiB only in this version of vmcfg",
    ),
    Refusal(
        "guest pages of 1GiB", "vms", ("page_size",), ("cpu", "profile"),
        lambda host, vm: vm["page_size"] == "1GiB" and lacks("pdpe1gb")(host),
        "4KiB or 2MiB, or a processor with larger pages", "this needs the feature pdpe1gb, which {profile} lacks",
    ),
    Refusal(
        "promotion in other modes", "hosts", ("mmu", "promote"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["promote"] is not None and host["mmu"]["mode"] not in ("nested", "shadow"),
        "none but in mode nested or shadow", "no other mode has tables of the host's own that are walked",
    ),
    Refusal(
        "promotion in a flat table", "hosts", ("mmu", "promote"), ("mmu", "host_table"),
        lambda host, _: host["mmu"]["promote"] is not None and host["mmu"]["host_table"] == "flat",
        "none in a flat host table", "it has an entry for each page of 4KiB, and no others",
    ),
    *_large_pages("page_size"),
    *_large_pages("table_page_size"),
    _feature_needs("ept_ad", "ept"),
    _feature_needs("pml", "ept_ad"),
    _feature_needs("invpcid", "pcid"),
)


def check(findings: Findings, settings: Settings) -> None:
    """Refused combinations, then the shape of every cache."""
    for refusal in REFUSED:
        for name, given in settings.get(refusal.section, {}).items():
            with suppress(Broken):
                _refuse(findings, settings, refusal, name, given)
    for name, host in settings.get("hosts", {}).items():
        with suppress(Broken):
            for key in ("tlb", "walk_caches", "nested_tlb"):
                check_caches(findings, ("hosts", name, "cpu", key), host["cpu"].get(key))
            check_caches(findings, ("hosts", name, "mmu", "software_tlb"), host["mmu"].get("software_tlb"))
        with suppress(Broken):
            _quantum(findings, name, host)


def _refuse(findings: Findings, settings: Settings, refusal: Refusal, name: str, given: Settings) -> None:
    host_name = name if refusal.section == "hosts" else given["host"]
    host = settings["hosts"][host_name]
    if not refusal.applies(host, given):
        return
    found: Any = given
    for step in refusal.key:
        found = found[step]
    shown = "[" + ", ".join(found) + "]" if isinstance(found, list) else str(found).lower()
    shown = "one" if isinstance(found, dict) else shown
    path: Path = (refusal.section, name, *refusal.key)
    because: Path = ("hosts", host_name, *refusal.because)
    also = [(because, ".".join(map(str, because)) + " is here")] if refusal.because and because != path else []
    findings.add(path, "refused", f"found {shown}, expected {refusal.expected}",
                 refusal.why.format(profile=host["cpu"]["profile"]), also)


def _quantum(findings: Findings, name: str, host: Settings) -> None:
    """A quantum that a switch uses up would let vCPUs take turns for ever, and nobody make an access."""
    switch = host["cpu"]["costs"]["exit"]
    if host["mmu"]["mode"] != "native" and host["quantum"] * host["cpu"]["hz"] <= switch * NANOSECONDS:
        path: Path = ("hosts", name, "quantum")
        found = units.format_duration(host["quantum"])
        findings.add(path, "quantum", f"found {found}, expected more than a switch of vCPUs costs",
                     f"a switch is an exit of {switch} cycles, and a vCPU needs time left for its work")
