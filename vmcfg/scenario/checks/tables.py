"""Tables that stay empty unless a host has what they are about: who asks for one has forgotten that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from attrs import frozen

from vmcfg.scenario.checks.memory import pages_at_once
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import has_large_pages
from vmcfg.scenario.settings import Broken, Settings


@frozen
class Need:
    """What some host must have."""

    is_met: Callable[[Settings], bool]  # by a host
    expected: str
    hint: str


_LARGE_PAGES = Need(
    lambda host: pages_at_once(host["mmu"]) > 1 or host["mmu"]["promote"] is not None,
    "a host or VM with large pages", "for instance mmu: {mode: nested, page_size: 2MiB}",
)

NEEDS: Mapping[str, Need] = {
    "data_caches": Need(
        lambda host: host["cpu"]["data_caches"] != "none",
        "a host with cpu.data_caches", "for instance data_caches: profile, which takes the processor's own",
    ),
    "page_sizes": _LARGE_PAGES,
    "large_pages": _LARGE_PAGES,
    "dirty_log": Need(
        lambda host: host["mmu"]["pml"] or (host["mmu"]["dirty_log"] or {}).get("by") == "pml", "a host with mmu.pml",
        "pml: true logs the guest pages that are modified",
    ),
    "dirty_rounds": Need(
        lambda host: host["mmu"]["dirty_log"] is not None, "a host with mmu.dirty_log",
        "dirty_log: {every: 1s} asks once a second which pages have been modified",
    ),
    "hypercalls": Need(
        lambda host: host["mmu"]["mode"] == "paravirt", "a host with mmu.mode paravirt", "no other guest makes any",
    ),
}


def check(findings: Findings, settings: Settings) -> None:
    """Refuses each table that would have no rows."""
    for table, (key, hint) in {"series": ("sample", "sample: 1s"), "curve": ("curve", "curve: 100%")}.items():
        with suppress(Broken):
            if table in settings["tables"] and settings["run"][key] is None:
                where: Path = ("tables", settings["tables"].index(table))
                message = f"found {table}, expected run.{key} beside it"
                findings.add(where, "contradiction", message, f"for instance {hint}")
    for name, need in NEEDS.items():
        with suppress(Broken):
            has_large_guest_pages = any(has_large_pages(settings, vm) for vm in settings["vms"].values())
            if need is _LARGE_PAGES and has_large_guest_pages:
                continue
            if name in settings["tables"] and not any(need.is_met(host) for host in settings["hosts"].values()):
                place: Path = ("tables", settings["tables"].index(name))
                findings.add(place, "contradiction", f"found {name}, expected {need.expected}", need.hint)
