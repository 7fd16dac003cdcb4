"""What no schema can check: names, sizes that must fit, settings that contradict each other, files.

One file per subject. Each check asks for the settings it needs; if one of them is faulty it ends there (Broken), so
that a fault is reported once and hides no other.
"""

from __future__ import annotations

from pathlib import Path

from vmcfg.scenario.checks import (
    addresses,
    claims,
    data_caches,
    events,
    files,
    guest_sets,
    machine,
    memory,
    names,
    paging,
    power,
    references,
    run,
    shared_memory,
    tables,
    workloads,
)
from vmcfg.scenario.checks.names import unknown_name
from vmcfg.scenario.findings import Findings
from vmcfg.scenario.settings import Settings

__all__ = ["check", "unknown_name"]


def check(findings: Findings, settings: Settings, picked: dict[str, str], directory: Path) -> None:
    """Runs all checks on completed settings; `picked` maps instances that a `--set` picked to their VM."""
    names.check(findings, settings, picked)
    machine.check(findings, settings)
    data_caches.check(findings, settings)
    workloads.check(findings, settings, directory)
    events.check(findings, settings, picked)
    power.check(findings, settings, picked)
    paging.check(findings, settings)
    files.check(findings, settings, picked)
    shared_memory.check(findings, settings, picked)
    references.check(findings, settings)
    memory.check(findings, settings, picked)
    addresses.check(findings, settings, picked)
    guest_sets.check(findings, settings, picked)
    run.check(findings, settings, picked)
    tables.check(findings, settings)
    claims.check(findings, settings)
