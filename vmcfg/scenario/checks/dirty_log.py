"""Who cannot log which guest pages are modified, or ask for it: rows of `machine.REFUSED`."""

from __future__ import annotations

from vmcfg.scenario.checks.refusal import Refusal, lacks
from vmcfg.scenario.settings import Settings

EVERY = ("mmu", "dirty_log", "every")
BY = ("mmu", "dirty_log", "by")
LATER = "in this version of vmcfg"


def _asks(host: Settings) -> bool:
    return host["mmu"]["dirty_log"] is not None


def _asks_in_nested(host: Settings) -> bool:
    return _asks(host) and host["mmu"]["mode"] == "nested"


def _is_by(host: Settings, how: str) -> bool:
    return _asks_in_nested(host) and host["mmu"]["dirty_log"]["by"] == how


def _has_large(host: Settings) -> bool:
    return any(host["mmu"][key] != "4KiB" for key in ("page_size", "table_page_size")) or bool(host["mmu"]["promote"])


REFUSED = (
    Refusal(
        "pml in native", "hosts", ("mmu", "pml"), ("mmu", "mode"),
        lambda host, _: host["mmu"]["pml"] and host["mmu"]["mode"] != "nested",
        "false but in mode nested", "what is logged is what walks set in the EPT",
    ),
    Refusal(
        "pml without the feature", "hosts", ("mmu", "pml"), ("cpu", "profile"),
        lambda host, _: host["mmu"]["pml"] and host["mmu"]["mode"] == "nested" and lacks("pml")(host),
        "false, or a processor with page-modification logging", "this needs the feature pml, which {profile} lacks",
    ),
    Refusal(
        "dirty_log in other modes", "hosts", EVERY, ("mmu", "mode"),
        lambda host, _: _asks(host) and host["mmu"]["mode"] != "nested",
        "no dirty_log but in mode nested",
        f"D of shadow tables is not asked for {LATER}, and in other modes there is none of the host's",
    ),
    Refusal(
        "dirty_log without D bits", "hosts", EVERY, ("cpu", "profile"),
        lambda host, _: _asks_in_nested(host) and lacks("ept_ad")(host),
        "no dirty_log, or a processor that sets A and D in the EPT",
        "this needs the feature ept_ad, which {profile} lacks",
    ),
    Refusal(
        "dirty_log by a log that is not there", "hosts", BY, ("cpu", "profile"),
        lambda host, _: _is_by(host, "pml") and lacks("pml")(host) and not lacks("ept_ad")(host),
        "write_protection, or a processor with page-modification logging",
        "this needs the feature pml, which {profile} lacks",
    ),
    Refusal(
        "dirty_log by protection beside pml", "hosts", BY, ("mmu", "pml"),
        lambda host, _: _is_by(host, "write_protection") and host["mmu"]["pml"],
        "pml, or mmu.pml: false", "a page that is write-protected needs no log",
    ),
    Refusal(
        "dirty_log of large pages", "hosts", EVERY, ("mmu",),
        lambda host, _: _asks_in_nested(host) and _has_large(host),
        "host pages of 4KiB beside it", "who asks which pages are modified maps small ones, as KVM does while it logs",
    ),
    Refusal(
        "dirty_log beside host paging", "hosts", EVERY, ("reclaim", "paging"),
        lambda host, _: _asks_in_nested(host) and host["reclaim"]["paging"] is not None,
        "no host paging beside it", f"what is modified and then paged out is not kept in mind {LATER}",
    ),
)
