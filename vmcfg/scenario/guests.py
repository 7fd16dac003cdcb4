"""Presets of guest operating systems: what `guest: linux` or `guest: windows` sets where the scenario is silent.

Each figure says where it comes from, or that it is assumed. All of them are settings of their own, so that a scenario
can set any differently; a guest without preset has none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from vmcfg.scenario.document import Node, Step, find
from vmcfg.scenario.settings import Settings
from vmcfg.scenario.spec import MILLION


@frozen
class Figure:
    """A setting of a preset, as the scenario would write it, and its source."""

    value: Any
    source: str


ASSUMED = "assumed"
PRESETS: Mapping[str, Mapping[str, Figure]] = {
    "linux": {
        "kernel_memory": Figure(
            {"base": "16MiB", "per_memory": "1.5625%"},
            "64 bytes of `struct page` for each page of 4096; the base is assumed",
        ),
    },
    "windows": {
        "kernel_memory": Figure(
            {"base": "16MiB", "per_memory": "1.1718%"},
            "48 bytes of the PFN database for each page of 4096; the base is assumed",
        ),
        "boot": Figure(
            {"zeroes": "400MiB/s"},
            "Waldspurger, OSDI 2002, section 6.3: zeroes all pages at boot; how fast is assumed",
        ),
        "zero_thread": Figure(
            "20MiB/s",
            "Waldspurger, OSDI 2002, section 5.3: its zero-page thread touches freed pages; how fast is assumed",
        ),
    },
}


def overlay(vm: dict[str, Any]) -> dict[str, Any]:
    """Return a VM as written, with what its preset sets put under it."""
    preset = PRESETS.get(vm["guest"], {}) if isinstance(vm.get("guest"), str) else {}
    return {**{key: figure.value for key, figure in preset.items()}, **vm}


def is_preset(root: Node, settings: Settings, path: tuple[Step, ...]) -> str | None:
    """Return the preset that a setting of a VM comes from, if it does."""
    preset = settings["vms"][path[1]]["guest"]
    is_own = find(root, path[:3]) is None and path[2] in PRESETS.get(preset, {})
    return str(preset) if is_own else None


def kernel_pages(given: Any, memory_pages: int) -> int:
    """Return the pages that a guest's kernel holds: so many, or a base and a share of its configured memory."""
    if not isinstance(given, dict):
        return int(given)
    return int(given["base"]) + memory_pages * int(given["per_memory"]) // MILLION
