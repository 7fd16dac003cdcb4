"""Processor profiles: real processors as data files, each figure with its source.

A scenario names a profile and may override any figure of it; what it does not mention is the profile's. A figure
that rests on an assumption is remembered as such, unless the scenario sets it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from attrs import frozen

from vmcfg import resources
from vmcfg.errors import Diagnostic, InvalidScenario
from vmcfg.scenario import messages, schema
from vmcfg.scenario.document import Node, Source, plain
from vmcfg.scenario.reading import Unreadable, read, split_lines


@frozen
class Profile:
    """A profile as the scenario would write it, and the dotted names of its figures."""

    title: str
    figures: dict[str, Any]
    sourced: tuple[str, ...]  # somebody measured or printed them
    assumed: tuple[str, ...]  # fair guesses


@cache
def load(name: str) -> Profile:
    """Reads a shipped profile; KeyError if there is none. That it follows its schema is tested, and not asked here."""
    if name not in resources.profile_names():
        raise KeyError(name)
    root, _ = _read(name)
    value = plain(root)
    figures = {key: item for key, item in value.items() if key not in ("apiVersion", "kind", "title")}
    return Profile(value["title"], _values(figures), _named(figures, "source"), _named(figures, "assumed"))


def check(name: str) -> None:
    """Raises InvalidScenario with all faults of a shipped profile, if it has any."""
    root, diagnostics = _read(name)
    diagnostics += messages.diagnose(root, "profile", schema.faults("profile", plain(root)))
    if diagnostics:
        raise InvalidScenario(diagnostics)


def asked(given: dict[str, Any], default: str) -> dict[str, Any]:
    """What a scenario's cpu says beside its profile. Data caches are the profile's only where they are asked for."""
    caches = given.get("data_caches", default)
    others = {key: item for key, item in given.items() if key != "data_caches"}
    return others if caches == "profile" else {**others, "data_caches": caches}


def merged(profile: Any, overrides: Any) -> Any:
    """The profile's value with the scenario's put over it, mapping by mapping."""
    if not isinstance(profile, dict) or not isinstance(overrides, dict):
        return overrides
    both = {key: merged(profile[key], overrides[key]) for key in overrides if key in profile}
    return {**profile, **overrides, **both}


def _read(name: str) -> tuple[Node, list[Diagnostic]]:
    path = resources.profile_directory() / f"{name}.yaml"
    text = path.read_text("utf-8")
    try:
        return read(Source(f"{name}.yaml", split_lines(text)), text)
    except Unreadable as unreadable:
        raise InvalidScenario(unreadable.diagnostics) from None


def _values(figures: dict[str, Any]) -> dict[str, Any]:
    return {key: item["value"] if "value" in item else _values(item) for key, item in figures.items()}


def _named(figures: dict[str, Any], evidence: str) -> tuple[str, ...]:
    return tuple(path for path, figure in _walk(figures) if evidence in figure)


def _walk(figures: dict[str, Any], above: str = "") -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    for key, item in figures.items():
        found += [(above + key, item)] if "value" in item else _walk(item, f"{above}{key}.")
    return found
