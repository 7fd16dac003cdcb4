"""The run: its clock, its end, and the integers that it must not outgrow."""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.checks.workloads import ends_by_itself
from vmcfg.scenario.findings import Findings
from vmcfg.scenario.layout import Instance, instances
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.units import format_duration

MOST_VCPUS = 65_536  # of one host
MOST_CYCLES = 1 << 62
REFERENCES = 24  # of one cold nested walk; an access makes at most a few walks
WALKS = 16  # more than one access can take, with its faults


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Each check stands alone."""
    with suppress(Broken):
        _slices(findings, settings["run"])
    with suppress(Broken):
        _to_the_end(findings, settings)
    with suppress(Broken):
        vms = list(instances(settings["vms"], picked))
        _vcpus(findings, settings, vms)
        _cycles(findings, settings, vms)


def _slices(findings: Findings, run: Settings) -> None:
    if run["slice"] > run["epoch"]:
        findings.add(("run", "slice"), "contradiction", f"found {format_duration(run['slice'])}, expected at most the epoch's "
                     f"{format_duration(run['epoch'])}", also=[(("run", "epoch"), "run.epoch is here")])


def _to_the_end(findings: Findings, settings: Settings) -> None:
    if settings["run"]["accesses"] != "all":
        return
    for name in dict.fromkeys(vm["workload"] for vm in settings["vms"].values()):
        with suppress(Broken):
            phases = settings["workloads"][name]["phases"]
            if not ends_by_itself(phases[-1]):
                findings.add(("run", "accesses"), "endless", f"found all, expected a count, because workload '{name}' never "
                             "ends", also=[(("workloads", name, "phases", len(phases) - 1), "this phase has no end")])


def _vcpus(findings: Findings, settings: Settings, vms: list[Instance]) -> None:
    for host in settings["hosts"]:
        with suppress(Broken):
            vcpus = sum(vm.settings["vcpus"] for vm in vms if vm.settings["host"] == host)
            if vcpus > MOST_VCPUS:
                findings.add(("hosts", host), "range", f"found {vcpus:,} vCPUs, expected at most {MOST_VCPUS:,}", at_key=True)


def _cycles(findings: Findings, settings: Settings, vms: list[Instance]) -> None:
    """Counters are signed 64-bit integers; a run by accesses must not be able to outgrow them."""
    for vm in vms:
        with suppress(Broken):
            touches = _touches(settings, vm)
            per_touch = _dearest_touch(settings["hosts"][vm.settings["host"]]["cpu"], settings["workloads"][vm.settings["workload"]])
            if touches * per_touch * vm.settings["vcpus"] >= MOST_CYCLES:
                findings.add(("run", "accesses"), "range", f"found {settings['run']['accesses']}, expected so few that cycles fit "
                             "into 63 bits", f"a touch of VM '{vm.declared}' can cost {per_touch:,} cycles")


def _touches(settings: Settings, vm: Instance) -> int:
    accesses = settings["run"]["accesses"]
    return accesses if isinstance(accesses, int) else 0


def _dearest_touch(cpu: Settings, workload: Settings) -> int:
    costs = cpu["costs"]
    accesses = max(phase["accesses_per_touch"] for phase in workload["phases"])
    walks = WALKS * REFERENCES * max(costs["walk_reference"], costs["walk_cache_hit"], costs["nested_tlb_hit"])
    exits = WALKS * (costs["exit"] + costs["ept_violation"] + 4 * costs["zero_page"])
    fault = costs["guest_fault"] + 4 * (costs["zero_page"] + costs["gpt_write"])
    return int(accesses * costs["access"] + costs["l2_tlb_hit"] + walks + exits + fault)
