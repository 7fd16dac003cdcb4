"""The run: its clock, its end, and the integers that it must not outgrow."""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.checks.data_caches import dearest_reference
from vmcfg.scenario.checks.memory import ENTRIES, pages_at_once
from vmcfg.scenario.checks.workloads import ends_by_itself
from vmcfg.scenario.findings import Findings
from vmcfg.scenario.layout import Instance, instances
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import PAGE_BYTES, format_count, format_duration, parse_size

MOST_VCPUS = 65_536  # of one host
MOST_CYCLES = 1 << 62  # half of what a signed 64-bit counter holds
WALK_REFERENCES = 24  # of one cold nested walk
WALKS = 16  # of one touch with all its faults, generously
MOST_SAMPLES = 1000  # of each VM in a series
MOST_SPLITS = 2  # of a large page that a store finds shared, from 1 GiB down to 4 KiB


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Each check stands alone."""
    with suppress(Broken):
        _slices(findings, settings["run"])
    with suppress(Broken):
        _samples(findings, settings["run"])
    with suppress(Broken):
        _curve(findings, settings)
    with suppress(Broken):
        _to_the_end(findings, settings)
    with suppress(Broken):
        vms = list(instances(settings["vms"], picked))
        _vcpus(findings, settings, vms)
        for vm in vms:
            with suppress(Broken):
                _cycles(findings, settings, vm)


def _slices(findings: Findings, run: Settings) -> None:
    shortest = run["epoch"]
    if run["slice"] > shortest:
        message = f"found {format_duration(run['slice'])}, expected at most the epoch's {format_duration(shortest)}"
        findings.add(("run", "slice"), "contradiction", message, also=[(("run", "epoch"), "run.epoch is here")])


def _samples(findings: Findings, run: Settings) -> None:
    if run["sample"] is None or run["duration"] is None:
        return
    least = -(-run["duration"] // MOST_SAMPLES)
    if run["sample"] < least:
        message = f"found {format_duration(run['sample'])}, expected at least {format_duration(least)}"
        why = f"a series has at most {MOST_SAMPLES} rows for each VM"
        findings.add(("run", "sample"), "contradiction", message, why, [(("run", "duration"), "run.duration is here")])


def _curve(findings: Findings, settings: Settings) -> None:
    """One vCPU touches the pages of one process, in one order."""
    if settings["run"]["curve"] is None:
        return
    for name, vm in settings["vms"].items():
        with suppress(Broken):
            for path, found in (
                (("vms", name, "vcpus"), vm["vcpus"]),
                (("workloads", vm["workload"], "processes"), settings["workloads"][vm["workload"]]["processes"]),
            ):
                if found != 1:
                    findings.add(path, "refused", f"found {found}, expected 1 beside run.curve",
                                 "whose touches come first, time decides; not built yet in this version of vmcfg",
                                 [(("run", "curve"), "run.curve is here")])


def _to_the_end(findings: Findings, settings: Settings) -> None:
    """`accesses: all` asks that every workload which runs has an end."""
    if settings["run"]["accesses"] != "all":
        return
    for name in dict.fromkeys(vm.get("workload") for vm in settings["vms"].values()):
        with suppress(Broken):
            phases = settings["workloads"][name]["phases"]
            if not ends_by_itself(phases[-1]):
                last = ("workloads", name, "phases", len(phases) - 1)
                message = f"found all, expected a count, because workload '{name}' never ends"
                findings.add(("run", "accesses"), "endless", message, also=[(last, "this phase has no end")])


def _vcpus(findings: Findings, settings: Settings, vms: list[Instance]) -> None:
    for host in settings["hosts"]:
        with suppress(Broken):
            vcpus = sum(vm.settings["vcpus"] for vm in vms if vm.settings["host"] == host)
            if vcpus > MOST_VCPUS:
                message = f"found {vcpus:,} vCPUs, expected at most {MOST_VCPUS:,}"
                findings.add(("hosts", host), "range", message, at_key=True)


def _cycles(findings: Findings, settings: Settings, vm: Instance) -> None:
    """A run by accesses must not be able to outgrow its counters; one by time cannot, as durations are bounded."""
    accesses = settings["run"]["accesses"]
    workload = settings["workloads"][vm.settings["workload"]]
    dearest = _dearest_touch(settings["hosts"][vm.settings["host"]], workload, parse_size(vm.settings["page_size"]))
    most = MOST_CYCLES // (dearest * vm.settings["vcpus"])
    if isinstance(accesses, int) and accesses > most:
        message = f"found {format_count(accesses)}, expected at most {most:,}, so that cycles fit into 63 bits"
        hint = f"a touch of VM '{vm.declared}' may cost {dearest:,} cycles"
        findings.add(("run", "accesses"), "range", message, hint)


def _dearest_touch(host: Settings, workload: Settings, page_bytes: int) -> int:
    """An upper bound of the cycles of one touch, with every fault and exit that it may take."""
    accesses: int = max(phase["accesses_per_touch"] for phase in workload["phases"])
    cpu, zeroed = host["cpu"], 3 + pages_at_once(host["mmu"])
    pages = page_bytes // PAGE_BYTES
    costs = cpu["costs"]
    reference = max(costs["walk_reference"], dearest_reference(cpu["data_caches"]))
    probe = max(reference, costs["walk_cache_hit"], costs["nested_tlb_hit"])
    exits = (WALKS + pages - 1) * (costs["exit"] + costs["ept_violation"] + zeroed * costs["zero_page"])
    fault = costs["guest_fault"] + (3 + pages) * costs["zero_page"] + 4 * costs["gpt_write"]
    if pages > 1:
        fault += MOST_SPLITS * ((ENTRIES + 1) * costs["gpt_write"] + costs["invlpg"])
    total: int = accesses * costs["access"] + costs["l2_tlb_hit"] + WALKS * WALK_REFERENCES * probe + exits + fault
    return total
