"""Memory that is taken away: disks that must exist, and who cannot page or be ballooned: rows of `machine.REFUSED`."""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.checks.names import unknown_name
from vmcfg.scenario.checks.refusal import Refusal, lacks
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.implied import BY_A_BITS
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import format_share

VICTIM: Path = ("reclaim", "paging", "victim")
MARKS: Path = ("reclaim", "paging", "watermarks")
LATER = "in this version of vmcfg"
MILLION = 1_000_000  # parts in a share


def check(findings: Findings, settings: Settings) -> None:
    """Swap areas lie on disks that the host has; a guest that pages does not make large pages of small ones."""
    for name, host in settings.get("hosts", {}).items():
        with suppress(Broken):
            _disk(findings, ("hosts", name, "swap"), host["swap"], host)
        with suppress(Broken):
            _watermarks(findings, ("hosts", name, *MARKS), host)
        with suppress(Broken):
            _compression(findings, settings, name, host)
    for name, vm in settings.get("vms", {}).items():
        with suppress(Broken):
            _disk(findings, ("vms", name, "swap"), vm["swap"], settings["hosts"][vm["host"]])
        with suppress(Broken):
            _compresses(findings, name, vm["compresses"])
        with suppress(Broken):
            _collapses(findings, settings, name, vm)


def _disk(findings: Findings, path: Path, swap: Settings | None, host: Settings) -> None:
    if swap and swap["disk"] is not None and swap["disk"] not in host["disks"]:
        unknown_name(findings, (*path, "disk"), "disk", swap["disk"], host["disks"])


def _watermarks(findings: Findings, path: Path, host: Settings) -> None:
    """Paging ahead goes on from the lower mark, which some number of frames can be below, to the upper one."""
    marks = _marks(host)
    if marks is None:
        return
    start, stop, frames = marks["start_below"], marks["stop_above"], host["memory"]
    lower, upper = frames * start // MILLION, frames * stop // MILLION
    if upper <= lower:
        findings.add((*path, "stop_above"), "refused",
                     f"found {format_share(stop)}, expected more than start_below, {format_share(start)}",
                     f"paging ahead goes on from the lower mark to the upper one: in frames, from {lower} to {upper}")
    if lower == 0:
        findings.add((*path, "start_below"), "refused",
                     f"found {format_share(start)}, expected a share that is at least one of {frames} frames",
                     "no fewer than none are ever free, so paging ahead would never begin")


def _compression(findings: Findings, settings: Settings, name: str, host: Settings) -> None:
    """A compression cache stands before a disk, and needs to know of all VMs how well their pages compress."""
    cache, path = host["reclaim"]["compression"], ("hosts", name, "reclaim", "compression")
    if not cache or not cache["max"]:
        return
    if not _pages(host):
        findings.add(path, "refused", "found compression without paging, expected paging beside it",
                     "pages are compressed in place of being paged out, and go to the disk when the cache is full",
                     at_key=True)
    for vm, given in settings["vms"].items():
        if given["host"] == name and given["compresses"] is None:
            findings.add(("vms", vm), "missing",
                         "found no 'compresses', expected it on a host with a compression cache",
                         "write for instance compresses: {quarter: 30%, half: 40%}", [(path, "the cache is here")],
                         at_key=True)
        if given["host"] == name and given["files"]:
            findings.add(("vms", vm, "files"), "refused",
                         "found files on a host with a compression cache, expected none",
                         f"pages that equal blocks of a disk, and are compressed, are not built yet {LATER}",
                         [(path, "the cache is here")], at_key=True)


def _compresses(findings: Findings, name: str, given: Settings | None) -> None:
    if given and given["quarter"] + given["half"] > MILLION:
        shares = format_share(given["quarter"]), format_share(given["half"])
        findings.add(("vms", name, "compresses", "half"), "too-large",
                     f"found {shares[1]} beside a quarter of {shares[0]}, expected at most 100% together",
                     "a page that fits a quarter of a frame counts there, and not once more as one that fits a half")


def _collapses(findings: Findings, settings: Settings, name: str, vm: Settings) -> None:
    for index, phase in enumerate(settings["workloads"][vm["workload"]]["phases"]):
        kinds = [event["kind"] for event in phase["events"]]
        if (vm["swap"] or vm["files"]) and "collapse" in kinds:
            path = ("workloads", vm["workload"], "phases", index, "events", kinds.index("collapse"), "kind")
            what, key = ("a swap area", "swap") if vm["swap"] else ("files", "files")
            findings.add(path, "refused", f"found collapse, expected no such event in a guest with {what}",
                         f"large pages that are paged out are not built yet {LATER}",
                         [(("vms", name, key), f"its {what.removeprefix('a ')} is here")])


def _pages(host: Settings) -> bool:
    return host["reclaim"]["paging"] is not None


def _has_large(host: Settings) -> bool:
    return any(host["mmu"][key] != "4KiB" for key in ("page_size", "table_page_size")) or bool(host["mmu"]["promote"])


def _marks(host: Settings) -> Settings | None:
    """Return a host's watermarks, if it has any."""
    return host["reclaim"]["paging"]["watermarks"] if _pages(host) else None


REFUSED = (
    Refusal(
        "host paging in other modes", "hosts", VICTIM, ("mmu", "mode"),
        lambda host, _: _pages(host) and host["mmu"]["mode"] not in ("nested", "shadow"),
        "host paging only in modes nested and shadow",
        "elsewhere there is no host, its guests' tables hold machine frames, or faults of memory are not built yet",
    ),
    Refusal(
        "host paging without swap", "hosts", VICTIM, (),
        lambda host, _: _pages(host) and host["swap"] is None,
        "a swap area of the host beside it", "write for instance swap: {{size: 1GiB}}",
    ),
    Refusal(
        "watermarks beside a capacity", "hosts", MARKS, ("reclaim", "paging", "capacity"),
        lambda host, _: _marks(host) is not None and host["reclaim"]["paging"]["capacity"] is not None,
        "none beside a capacity", "there a page leaves exactly when another must enter, however many frames are free",
    ),
    Refusal(
        "host paging of large pages", "hosts", VICTIM, ("mmu",),
        lambda host, _: _pages(host) and _has_large(host),
        "host pages of 4KiB beside it", f"large host pages that are paged out are not built yet {LATER}",
    ),
    Refusal(
        "host paging of large pages under shadow", "vms", ("page_size",), VICTIM,
        lambda host, vm: _pages(host) and host["mmu"]["mode"] == "shadow" and vm["page_size"] != "4KiB",
        "4KiB in mode shadow where the host pages", f"shadows of large pages that lack some are not built yet {LATER}",
    ),
    Refusal(
        "A bits without ept_ad", "hosts", VICTIM, ("cpu", "profile"),
        lambda host, _: _pages(host) and host["mmu"]["mode"] == "nested" and lacks("ept_ad")(host)
        and host["reclaim"]["paging"]["references"] == "walks" and host["reclaim"]["paging"]["victim"] in BY_A_BITS,
        "random or fifo, or a processor that sets A and D in the EPT",
        "this policy looks at A bits, and {profile} lacks the feature ept_ad",
    ),
    Refusal(
        "guest swap in other modes", "vms", ("swap",), ("mmu", "mode"),
        lambda host, vm: vm["swap"] is not None and host["mmu"]["mode"] in ("paravirt", "software_tlb"),
        "no swap area of the guest but in modes native, nested and shadow",
        f"it is not built yet for this mode {LATER}",
    ),
    Refusal(
        "guest swap of large pages", "vms", ("swap",), (),
        lambda _, vm: vm["swap"] is not None and vm["page_size"] != "4KiB",
        "page_size 4KiB beside a swap area", f"large pages that are paged out are not built yet {LATER}",
    ),
    Refusal(
        "guest swap of other tables", "vms", ("swap",), (),
        lambda _, vm: vm["swap"] is not None and vm["page_table"] in ("none", "2_level"),
        "a page table of 4 or 5 levels or pae beside a swap area",
        f"without paging nothing can be paged out, and two wide levels are not built yet {LATER}",
    ),
    Refusal(
        "a balloon in other modes", "vms", ("balloon",), ("mmu", "mode"),
        lambda host, vm: vm["balloon"] is not None and host["mmu"]["mode"] not in ("nested", "shadow"),
        "no balloon but in modes nested and shadow", "elsewhere there is no host, or it is not built yet for this mode",
    ),
    Refusal(
        "a balloon of large pages", "vms", ("balloon",), ("mmu",),
        lambda host, vm: vm["balloon"] is not None and (_has_large(host) or vm["page_size"] != "4KiB"),
        "pages of 4KiB in guest and host beside a balloon", f"balloons of large pages are not built yet {LATER}",
    ),
    Refusal(
        "reports in other modes", "vms", ("free_page_reporting",), ("mmu", "mode"),
        lambda host, vm: vm["free_page_reporting"] is not None and host["mmu"]["mode"] not in ("nested", "shadow"),
        "no free-page reporting but in modes nested and shadow",
        "elsewhere there is no host, or it is not built yet for this mode",
    ),
    Refusal(
        "reports of large pages", "vms", ("free_page_reporting",), ("mmu",),
        lambda host, vm: vm["free_page_reporting"] is not None and (_has_large(host) or vm["page_size"] != "4KiB"),
        "pages of 4KiB in guest and host beside it", f"reports of large pages are not built yet {LATER}",
    ),
    Refusal(
        "reports without paging", "vms", ("free_page_reporting",), (),
        lambda _, vm: vm["free_page_reporting"] is not None and vm["page_table"] == "none",
        "a page table beside it", "a guest without paging has no free list to report from",
    ),
    Refusal(
        "a zero-page thread of large pages", "vms", ("zero_thread",), (),
        lambda _, vm: bool(vm["zero_thread"]) and vm["page_size"] != "4KiB",
        "page_size 4KiB beside a zero-page thread", f"freed pages that are large are not built yet {LATER}",
    ),
    Refusal(
        "kills without paging", "vms", ("oom",), (),
        lambda _, vm: vm["oom"] == "kill" and vm["page_table"] == "none",
        "a page table beside it", "a guest without paging allocates nothing, and so never runs out of memory",
    ),
    Refusal(
        "a balloon without paging", "vms", ("balloon",), (),
        lambda _, vm: vm["balloon"] is not None and vm["page_table"] == "none",
        "a page table beside a balloon", "a guest without paging has no free list for a driver to take from",
    ),
)
