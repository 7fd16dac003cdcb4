"""What makes two runs the same experiment: the resolved scenario, its inputs, and the engine's semantics."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import attrs

from vmcfg.scenario.spec import Scenario

SEMANTICS = 1
"""Raised by hand whenever the same scenario may give other numbers; never for a mere change of code."""


def scenario_digest(scenario: Scenario) -> str:
    """Return 64 hex digits: sha256 over the canonical resolved scenario, its input files, and SEMANTICS.

    Metadata, comments, key order and the place of the file take no part; results do not enter it either.
    """
    canonical = {"semantics": SEMANTICS, "scenario": _plain(scenario), "inputs": _inputs(scenario)}
    text = json.dumps(canonical, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """Turn frozen values into JSON, leaving out fields that take no part in equality."""
    if attrs.has(type(value)):
        fields = [field for field in attrs.fields(type(value)) if field.eq and not _is_absent(value, field)]
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if hasattr(value, "items"):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _is_absent(value: Any, field: Any) -> bool:
    """Tell whether a field that came later is not used: scenarios that know nothing of it keep their digests."""
    return "is_later" in field.metadata and getattr(value, field.name) == field.default


def _inputs(scenario: Scenario) -> dict[str, str]:
    traces = [phase.trace for workload in scenario.workloads for phase in workload.phases if phase.trace]
    files = {trace.file: trace.path for trace in traces}
    files |= {trace.vpn_file: trace.vpn_path for trace in traces if trace.vpn_path}
    return {name: _sha256(path) for name, path in files.items()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
