"""Text to Scenario, stage by stage: read, edit, check by schema, complete, check what schemas cannot, build.

The stages go on after faults as long as what follows still has a meaning, so that one call reports all of them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from vmcfg import resources
from vmcfg.errors import Diagnostic, InvalidScenario, Place
from vmcfg.scenario import checks, comparing, edits, guests, implied, messages, profiles, schema, spec
from vmcfg.scenario.build import build
from vmcfg.scenario.document import Node, Source, Step, dotted, find, plain
from vmcfg.scenario.edits import Edited
from vmcfg.scenario.findings import Findings
from vmcfg.scenario.reading import LARGEST_TEXT, Unreadable, read, split_lines
from vmcfg.scenario.settings import Settings, complete


@frozen
class _Judged:
    """A document with its settings, as far as they are right."""

    edited: Edited
    settings: Settings
    assumed: dict[str, tuple[str, ...]]


def load(path: Path | str, sets: Sequence[str] = (), compare: str | None = None) -> spec.Scenario:
    """Loads a scenario file. Raises InvalidScenario with all its faults, a file that cannot be read included."""
    name = os.fspath(path)
    return _load(_text(Path(path), name), name, Path(path), Path(path).parent, sets, compare)


def loads(
    text: str, name: str = "<text>", directory: Path | str | None = None, sets: Sequence[str] = (),
    compare: str | None = None,
) -> spec.Scenario:  # fmt: skip
    """Loads a scenario from a text; its files are relative to `directory`. Raises InvalidScenario."""
    return _load(text, name, None, Path(directory or "."), sets, compare)


def _load(
    text: str, name: str, path: Path | None, folder: Path, sets: Sequence[str], compare: str | None
) -> spec.Scenario:
    try:
        root, diagnostics = read(Source(name, split_lines(text)), text)
        root = _without_extensions(root)
        if compare is not None and isinstance(root.value, dict):
            root = comparing.from_command_line(root, compare)
    except Unreadable as unreadable:
        raise InvalidScenario(unreadable.diagnostics) from None
    edited, refused = edits.apply(root, sets)
    findings = Findings(edited.root)
    findings.extend([*diagnostics, *refused])
    base = _judge(findings, edited, folder)
    variants = _variants(findings, base, folder)
    if findings.diagnostics:
        raise InvalidScenario(findings.diagnostics)
    return _build(base, path, folder, {name: _build(variant, path, folder, {}) for name, variant in variants.items()})


def _judge(findings: Findings, edited: Edited, folder: Path) -> _Judged:
    settings, assumed = _settings(findings)
    implied.fill(edited.root, settings)
    checks.check(findings, settings, edited.picked, folder)
    return _Judged(edited, settings, assumed)


def _variants(findings: Findings, base: _Judged, folder: Path) -> dict[str, _Judged]:
    """The variants of a comparison by name; their faults go to the others, once."""
    judged: dict[str, _Judged] = {}
    for variant in comparing.variants(base.edited) if base.settings.get("compare") else ():
        own = Findings(variant.edited.root)
        own.extend(variant.diagnostics)
        judged[variant.name] = _judge(own, variant.edited, folder)
        findings.extend(comparing.in_variant(own.diagnostics, variant))
    return judged


def _build(judged: _Judged, path: Path | None, folder: Path, variants: dict[str, spec.Scenario]) -> spec.Scenario:
    origins = _origins(judged.edited.root, judged.settings)
    stem = path.name.split(".")[0] if path is not None else "scenario"
    return build(stem, path, folder, judged.settings, judged.edited.picked, judged.assumed, origins, variants)


def _text(path: Path, name: str) -> str:
    """A pipe with a name may wait for its writer for ever; one that a shell lends under /dev has one."""
    try:
        if path.is_fifo() and Path("/dev") not in path.absolute().parents:
            raise _unreadable(name, 1, 1, "", "found a pipe, expected a scenario")
        with path.open("rb") as file:
            data = file.read(LARGEST_TEXT + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(name, 1, 1, "", f"found no readable file ({reason.lower()}), expected a scenario") from None
    if len(data) > LARGEST_TEXT:
        raise _unreadable(name, 1, 1, "", f"found more than {LARGEST_TEXT:,} bytes, expected a scenario of fewer")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        lines = split_lines(before)
        message = f"found the byte 0x{data[error.start]:02X}, expected UTF-8 text"
        raise _unreadable(name, len(lines), len(lines[-1]) + 1, lines[-1] + "�", message) from None


def _unreadable(name: str, line: int, column: int, snippet: str, message: str) -> InvalidScenario:
    return InvalidScenario([Diagnostic(Place(name, line, column, 1, snippet), "", "unreadable", message)])


def _without_extensions(root: Node) -> Node:
    """Keys that start with x- hold anchors; by now they have done their work."""
    if not isinstance(root.value, dict):
        return root
    kept = {name: child for name, child in root.value.items() if not name.startswith("x-")}
    return Node(kept, root.mark, {name: root.keys[name] for name in kept})


def _settings(findings: Findings) -> tuple[Settings, dict[str, tuple[str, ...]]]:
    """The completed settings as far as the schema found no fault, and the assumed figures of each host."""
    value = plain(findings.root)
    faults = schema.faults("scenario", value)
    # A scenario of another version is not judged further: its other keys may be right there.
    version = [fault for fault in faults if fault.path == ("apiVersion",) and isinstance(fault.value, str)]
    findings.extend(messages.diagnose(findings.root, "scenario", version or faults))
    broken = messages.broken_paths(faults)
    if version or () in broken:
        return Settings(), {}
    value, assumed = _with_profiles(findings, value, broken)
    value = _with_presets(value, broken)
    settings: Settings = complete(schema.load("scenario"), value, broken)
    return settings, assumed


def _with_profiles(
    findings: Findings, value: dict[str, Any], broken: set[tuple[Step, ...]]
) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Puts each host's cpu over the profile that it names; without a profile there is no cpu to speak of."""
    hosts = dict(value["hosts"]) if isinstance(value.get("hosts"), dict) else {}
    assumed: dict[str, tuple[str, ...]] = {}
    for name, host in hosts.items():
        path: tuple[Step, ...] = ("hosts", name, "cpu")
        if broken & {path[:2], path}:
            continue
        given = host.get("cpu", {})
        profile = _profile(findings, (*path, "profile"), given, broken)
        if profile is None:
            broken.add(path)
        else:
            asked = profiles.asked(given, schema.load("cpu")["properties"]["data_caches"]["default"])
            hosts[name] = {**host, "cpu": profiles.merged(profile.figures, asked)}
            assumed[name] = tuple(figure for figure in profile.assumed if not _overrides(asked, figure.split(".")))
    return ({**value, "hosts": hosts} if hosts else value), assumed


def _with_presets(value: dict[str, Any], broken: set[tuple[Step, ...]]) -> dict[str, Any]:
    """Puts the preset of each VM's guest under it."""
    vms = value.get("vms")
    if not isinstance(vms, dict):
        return value
    sound = {name: vm for name, vm in vms.items() if isinstance(vm, dict) and ("vms", name) not in broken}
    return {**value, "vms": {**vms, **{name: guests.overlay(vm) for name, vm in sound.items()}}}


def _profile(
    findings: Findings, path: tuple[Step, ...], given: dict[str, Any], broken: set[tuple[Step, ...]]
) -> profiles.Profile | None:
    if path in broken:
        return None
    name = given.get("profile", schema.load("cpu")["properties"]["profile"]["default"])
    try:
        return profiles.load(name)
    except KeyError:
        checks.unknown_name(findings, path, "processor profile", name, resources.profile_names())
        return None


def _overrides(given: Any, steps: list[str]) -> bool:
    """Whether the scenario sets a figure, a part of it, or the whole that it belongs to."""
    for step in steps:
        if not isinstance(given, dict):
            return True
        if step not in given:
            return False
        given = given[step]
    return True


def _origins(root: Node, settings: Settings) -> dict[str, spec.Origin]:
    """Where each value came from, by its dotted path."""
    return {dotted(path): _origin(root, settings, path) for path in _leaves(settings)}


def _origin(root: Node, settings: Settings, path: tuple[Step, ...]) -> spec.Origin:
    node = find(root, path)
    if node is not None and node.value is not None:
        place = node.mark.place()
        if place.file == edits.SET:
            return spec.Origin("set", place.snippet)
        return spec.Origin("file", f"{place.file}:{place.line}")
    return implied.origin(root, settings, path)


def _leaves(value: Any, path: tuple[Step, ...] = ()) -> list[tuple[Step, ...]]:
    if isinstance(value, dict):
        return [leaf for name, child in value.items() for leaf in _leaves(child, (*path, name))]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [leaf for index, child in enumerate(value) for leaf in _leaves(child, (*path, index))]
    return [] if value is None else [path]
