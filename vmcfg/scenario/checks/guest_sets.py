"""Traces of whole guests, epoch by epoch: only where nobody looks at an access finer than such a trace does.

Its pages are the guest's own, below its page tables: its kernel's among them. What it says of an epoch is which pages
were accessed, once each. That feeds the host's memory, and neither TLBs nor a guest that maps pages itself.
"""

from __future__ import annotations

from contextlib import suppress

from vmcfg.scenario.checks.each_vm import each_vm
from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import EPOCHS, Instance
from vmcfg.scenario.settings import Broken, Settings


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Checks the VMs that replay such a trace, and its phases, also those that no VM runs."""
    for name, workload in settings.get("workloads", {}).items():
        with suppress(Broken):
            for path, phase in _phases(name, workload):
                _own_schedule(findings, path, phase)
    each_vm(findings, settings, picked, _vm)


def _vm(findings: Findings, settings: Settings, vm: Instance) -> None:
    name = vm.settings["workload"]
    for path, _ in _phases(name, settings["workloads"][name])[:1]:
        _replay(findings, settings["hosts"][vm.settings["host"]], vm, path)


def _phases(name: str, workload: Settings) -> list[tuple[Path, Settings]]:
    """The phases of a workload that replay such a trace."""
    return [
        (("workloads", name, "phases", index), phase)
        for index, phase in enumerate(workload["phases"])
        if phase["trace"] is not None and phase["trace"]["format"] == EPOCHS
    ]


def _own_schedule(findings: Findings, path: Path, phase: Settings) -> None:
    if phase["rate"] != "back_to_back":
        findings.add((*path, "rate"), "contradiction", f"found rate beside a {EPOCHS} trace, expected none",
                     "epoch_time says when its accesses are due", [((*path, "trace", "format"), "the trace is here")],
                     at_key=True)


def _replay(findings: Findings, host: Settings, vm: Instance, path: Path) -> None:
    format_path = (*path, "trace", "format")
    also = [(format_path, "the trace is here")]
    at: Path = ("hosts", vm.settings["host"], "mmu", "tlb")
    if host["mmu"]["tlb"] != "none":
        findings.add(format_path, "refused", f"found {EPOCHS}, expected a host without a TLB: mmu.tlb none",
                     "which pages were accessed in an epoch says nothing of how often TLBs would have missed",
                     [(at, f"host '{vm.settings['host']}' is here")])
    if vm.settings["page_table"] != "none":
        findings.add((*vm.path, "page_table"), "refused",
                     f"found {vm.settings['page_table']}, expected none where a {EPOCHS} trace is replayed",
                     "its pages are guest-physical: they enter below the guest's page tables", also)
    if vm.settings["kernel_memory"]:
        findings.add((*vm.path, "kernel_memory"), "refused",
                     f"found kernel memory, expected 0B where a {EPOCHS} trace is replayed",
                     "the pages of the guest's kernel are among those of the trace", also)
