"""Names that must exist, and names that must not exist twice."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from vmcfg.scenario.findings import Findings, Path
from vmcfg.scenario.layout import instances
from vmcfg.scenario.settings import Broken, Settings
from vmcfg.scenario.suggest import did_you_mean, one_of


def check(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    """Hosts and workloads of VMs, and VMs that `count` would give the same name."""
    with suppress(Broken):
        for name, vm in settings["vms"].items():
            with suppress(Broken):
                _host(findings, settings, name, vm)
            with suppress(Broken):
                _known(findings, ("vms", name, "workload"), "workload", vm["workload"], settings["workloads"])
        _clashes(findings, settings, picked)


def unknown_name(
    findings: Findings, path: Path, kind: str, name: str, names: Iterable[str], *, at_key: bool = False
) -> None:
    """Reports a name that refers to nothing."""
    known = list(names)
    findings.add(path, "unknown-name", f"found '{name}', expected the name of a {kind}", did_you_mean(name, known),
                 at_key=at_key)


def _known(findings: Findings, path: Path, kind: str, name: str, names: Iterable[str]) -> None:
    if name not in names:
        unknown_name(findings, path, kind, name, names)


def _host(findings: Findings, settings: Settings, name: str, vm: Settings) -> None:
    hosts, path = settings["hosts"], ("vms", name)
    if vm["host"] is not None:
        _known(findings, (*path, "host"), "host", vm["host"], hosts)
    elif hosts:
        findings.add(path, "missing-key", f"found no 'host', expected one of {one_of(hosts, 'or')}",
                     "it may be left out only where there is one host", at_key=True)


def _clashes(findings: Findings, settings: Settings, picked: dict[str, str]) -> None:
    owners: dict[str, Path] = {}
    for vm in instances(settings["vms"], picked):
        path: Path = ("vms", vm.declared)
        first = owners.setdefault(vm.name, path)
        if first != path:
            findings.add(path, "name-clash", f"found a second VM '{vm.name}', expected each name once",
                         f"count makes names of the form {vm.name.rpartition('-')[0]}-1",
                         [(first, "the other one is here")], at_key=True)
