"""What replacement policies see of accesses, foresight, and hosts without a TLB: also rows of `machine.REFUSED`."""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.checks.refusal import Refusal
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.implied import BY_A_BITS, BY_NOTHING
from vmcfg.scenario.settings import Broken, Settings

REFERENCES: Path = ("reclaim", "paging", "references")
VICTIM: Path = ("reclaim", "paging", "victim")
GUESTS_VICTIM: Path = ("reclaim", "victim")
TLB: Path = ("mmu", "tlb")
LATER = "in this version of vmcfg"


def check(findings: Findings, settings: Settings) -> None:
    """Nobody knows the future of work that time decides, nor of what a guest's kernel does to its pages."""
    for name, vm in settings.get("vms", {}).items():
        with suppress(Broken):
            policy = _foreseeing(settings, name, vm)
            if policy:
                _foreseeable(findings, settings, name, vm, policy)
        with suppress(Broken):
            if settings["hosts"][vm["host"]]["mmu"]["tlb"] == "none":
                _no_events(findings, settings, vm, "without a TLB", ("hosts", vm["host"], *TLB))


def _foreseeing(settings: Settings, name: str, vm: Settings) -> Path | None:
    """Return where a policy that knows the future is chosen, for a VM's host or by the guest itself, if one is."""
    if _sees(settings["hosts"][vm["host"]], "opt"):
        return ("hosts", vm["host"], *VICTIM)
    return ("vms", name, *GUESTS_VICTIM) if _foresees(vm) else None


def _foreseeable(findings: Findings, settings: Settings, name: str, vm: Settings, policy: Path) -> None:
    also = [(policy, "the policy is here")]
    if vm["vcpus"] != 1:
        findings.add(("vms", name, "vcpus"), "refused", f"found {vm['vcpus']}, expected 1 beside victim opt",
                     "in which order several touch their pages, time decides", also)
    _no_events(findings, settings, vm, "beside victim opt", policy)
    phases = settings["workloads"][vm["workload"]]["phases"]
    for index, phase in enumerate(phases):
        if phase["duration"] is not None:
            path = ("workloads", vm["workload"], "phases", index, "duration")
            findings.add(path, "refused", "found duration, expected accesses beside victim opt",
                         "where time ends a phase, nobody knows beforehand what is touched", also)
    is_endless = any(phase["accesses"] is None and phase["trace"] is None for phase in phases)
    if settings["run"]["accesses"] in (None, "all") and is_endless:
        findings.add(("run",), "refused", "found no end by accesses, expected run.accesses beside victim opt",
                     "where time ends a run, nobody knows beforehand what is touched", also)


def _no_events(findings: Findings, settings: Settings, vm: Settings, where: str, because: Path) -> None:
    for index, phase in enumerate(settings["workloads"][vm["workload"]]["phases"]):
        if phase["events"]:
            path = ("workloads", vm["workload"], "phases", index, "events", 0, "kind")
            kind = phase["events"][0]["kind"]
            findings.add(path, "refused", f"found {kind}, expected no event {where}",
                         f"they are not built yet for this {LATER}", [(because, "the reason is here")])


def _sees(host: Settings, *victims: str) -> bool:
    paging = host["reclaim"]["paging"]
    return paging is not None and paging["victim"] in victims


def _foresees(vm: Settings) -> bool:
    return bool(vm["swap"] or vm["files"]) and vm["reclaim"]["victim"] == "opt"


def _asks(host: Settings, references: str) -> bool:
    paging = host["reclaim"]["paging"]
    return paging is not None and paging["references"] == references


REFUSED = (
    Refusal(
        "A bits for policies that need more", "hosts", REFERENCES, VICTIM,
        lambda host, _: _asks(host, "walks") and not _sees(host, *BY_A_BITS, *BY_NOTHING),
        "every_access for this policy", "A bits say that a page was accessed, and neither when nor how often",
    ),
    Refusal(
        "references for policies without", "hosts", REFERENCES, VICTIM,
        lambda host, _: _sees(host, *BY_NOTHING) and not _asks(host, "none"),
        "no references beside random or fifo", "these policies look at no access",
    ),
    Refusal(
        "A bits without walks", "hosts", REFERENCES, TLB,
        lambda host, _: _asks(host, "walks") and _sees(host, *BY_A_BITS) and host["mmu"]["tlb"] == "none",
        "every_access without a TLB", "without translation no walk sets A bits",
    ),
    Refusal(
        "no TLB elsewhere", "hosts", TLB, ("mmu", "mode"),
        lambda host, _: host["mmu"]["tlb"] == "none" and host["mmu"]["mode"] != "nested",
        "none in mode nested only", f"without translation modes do not differ; the others are not built {LATER}",
    ),
    Refusal(
        "no TLB beside data caches", "hosts", TLB, ("cpu", "data_caches"),
        lambda host, _: host["mmu"]["tlb"] == "none" and host["cpu"]["data_caches"] != "none",
        "processor beside data caches", "only references of walks go through them, and there are none",
    ),
    Refusal(
        "foresight with read-ahead", "hosts", ("reclaim", "paging", "read_ahead"), VICTIM,
        lambda host, _: _sees(host, "opt") and host["reclaim"]["paging"]["read_ahead"] > 1,
        "1 beside victim opt", "when a page that comes along is wanted next is not known",
    ),
    Refusal(
        "foresight of files", "vms", GUESTS_VICTIM, (),
        lambda _, vm: _foresees(vm) and bool(vm["files"]),
        "another policy in a guest with files", "when a page that is read ahead is wanted next is not known",
    ),
    Refusal(
        "foresight of what is populated", "vms", ("populate",), (),
        lambda _, vm: _foresees(vm) and vm["populate"] == "at_start",
        "on_touch in a guest with victim opt", "when a page that came untouched is wanted next is not known",
    ),
)
