"""Defaults that depend on other settings: the only host, tags that a processor has, backing that a mode decides, pages.

All other defaults are in the schema. These are few and stand here together, with the origin that each reports.
"""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario import guests
from vmcfg.scenario.document import Node, Step, find
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.scenario.spec import Origin

BY_A_BITS = ("clock", "clock_referenced", "sieve", "two_list")
BY_NOTHING = ("random", "fifo")
WATERMARK_SHARE = 128  # of a guest's memory, below which it pages out
BACKED_AT_START = ("native", "paravirt", "software_tlb")  # the VMM, if there is one, knows of no first touch


def fill(root: Node, settings: Settings) -> None:
    """Puts these defaults where the document is silent, as far as what they depend on is known."""
    rules = (
        ("vms", _only_host),
        ("hosts", _tags_of_the_processor),
        ("hosts", _one_page_size),
        ("hosts", _how_to_know_what_is_modified),
        ("hosts", _references_of_the_policy),
        ("vms", _backing_of_the_mode),
        ("vms", _watermark),
        ("vms", _kernel_memory),
    )
    for section, rule in rules:
        for name in settings.get(section, ()):
            with suppress(Broken):
                rule(root, settings, name)


def origin(root: Node, settings: Settings, path: tuple[Step, ...]) -> Origin:
    """Where a value came from that the document does not mention."""
    own = (("profile",), ("data_caches",))  # a profile says nothing of these: which one, and that there are none
    is_tag = path[2:] in (("mmu", "vpid"), ("mmu", "pcid"), ("mmu", "dirty_log", "by"))
    if path[0] == "hosts" and (path[2:3] == ("cpu",) or is_tag) and path[3:] not in own:
        return Origin("profile", settings["hosts"][path[1]]["cpu"]["profile"])
    preset = guests.is_preset(root, settings, path) if path[0] == "vms" else None
    if preset:
        return Origin("guest", preset)
    if path[0] == "vms" and path[2:] == ("backing",):
        mode = _mode(settings, settings["vms"][path[1]])
        return Origin("mode", mode) if mode in BACKED_AT_START else Origin("default")
    return Origin("default")


def _only_host(_: Node, settings: Settings, name: str) -> None:
    vm, hosts = settings["vms"][name], settings["hosts"]
    if vm["host"] is None and len(hosts) == 1:
        vm["host"] = next(iter(hosts))


def _tags_of_the_processor(_: Node, settings: Settings, name: str) -> None:
    host = settings["hosts"][name]
    mode = host["mmu"]["mode"]
    features = {"paravirt": set(), "software_tlb": {"pcid"}}.get(mode, set(host["cpu"]["features"]))
    if host["mmu"]["vpid"] is None:
        host["mmu"]["vpid"] = bool({"vpid", "asid"} & features)
    if host["mmu"]["pcid"] is None:
        host["mmu"]["pcid"] = "pcid" in features and host["mmu"]["mode"] != "shadow"


def _one_page_size(_: Node, settings: Settings, name: str) -> None:
    mmu = settings["hosts"][name]["mmu"]
    if mmu["table_page_size"] is None:
        mmu["table_page_size"] = mmu["page_size"]


def _how_to_know_what_is_modified(_: Node, settings: Settings, name: str) -> None:
    host = settings["hosts"][name]
    log = host["mmu"]["dirty_log"]
    if log and log["by"] is None:
        log["by"] = "pml" if "pml" in host["cpu"]["features"] else "write_protection"


def _references_of_the_policy(_: Node, settings: Settings, name: str) -> None:
    host = settings["hosts"][name]
    paging = host["reclaim"]["paging"]
    if paging is not None and paging["references"] is None:
        is_by_bits = paging["victim"] in BY_A_BITS and host["mmu"]["tlb"] != "none"
        paging["references"] = "walks" if is_by_bits else "none" if paging["victim"] in BY_NOTHING else "every_access"


def _backing_of_the_mode(root: Node, settings: Settings, name: str) -> None:
    vm = settings["vms"][name]
    if find(root, ("vms", name, "backing")) is None and _mode(settings, vm) in BACKED_AT_START:
        vm["backing"] = "at_start"


def _watermark(_: Node, settings: Settings, name: str) -> None:
    vm = settings["vms"][name]
    if vm["reclaim"]["keep_free"] is None:
        vm["reclaim"]["keep_free"] = max(1, vm["memory"] // WATERMARK_SHARE)


def _kernel_memory(_: Node, settings: Settings, name: str) -> None:
    vm = settings["vms"][name]
    given = vm["kernel_memory"]
    del vm["kernel_memory"]  # what cannot be worked out is missing from here on
    vm["kernel_memory"] = guests.kernel_pages(given, vm["memory"])


def _mode(settings: Settings, vm: Settings) -> str:
    mode: str = settings["hosts"][vm["host"]]["mmu"]["mode"]
    return mode
