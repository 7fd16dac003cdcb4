"""The loop over VMs that checks of what a VM and its workload are together have in common."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from vmcfg.scenario.findings import Findings
from vmcfg.scenario.layout import Instance, instances
from vmcfg.scenario.settings import Broken, Settings

Look = Callable[[Findings, Settings, Instance], None]


def each_vm(findings: Findings, settings: Settings, picked: dict[str, str], *looks: Look) -> None:
    """Has each VM looked at in several ways; one that needs a faulty setting ends there, and the others go on."""
    with suppress(Broken):
        for vm in instances(settings["vms"], picked):
            for look in looks:
                with suppress(Broken):
                    look(findings, settings, vm)
