"""Changes to a document before it is checked: `--set path=value`, and short forms written out.

An edit puts a node with its own source into the tree, so that a fault in it shows the text of the `--set`, and
everything after this file cannot tell an edited scenario from one that was written so.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from attrs import evolve, frozen

from vmcfg.errors import Diagnostic
from vmcfg.scenario import schema
from vmcfg.scenario.document import Mark, Node, Source, Step, find, replaced
from vmcfg.scenario.reading import Unreadable, read_value, split_lines
from vmcfg.scenario.suggest import did_you_mean, one_of

SET = "--set"
_HOST_KEYS = ("mmu", "cpu")  # `mmu.mode=nested` is short for the same of every host


@frozen
class Edited:
    """A document with its edits; `instances` maps a VM that a `--set` picked from a `count` to the one declared."""

    root: Node
    instances: dict[str, str]


class _Refused(Exception):
    """An edit that cannot be made: where in its text, and why."""

    def __init__(self, column: int, width: int, message: str, hint: str = ""):
        super().__init__(message)
        self.column, self.width, self.message, self.hint = column, width, message, hint


def apply(root: Node, sets: Sequence[str]) -> tuple[Edited, list[Diagnostic]]:
    """Writes short forms out and applies the edits in order. Returns the faults of the edits that could not be made."""
    edited = Edited(_without_short_forms(root), {})
    diagnostics: list[Diagnostic] = []
    for number, text in enumerate(sets, 1):
        source = Source(SET, split_lines(text), number)
        try:
            edited = _edit(edited, text, source)
            edited = evolve(edited, root=_without_short_forms(edited.root))
        except Unreadable as unreadable:
            diagnostics += unreadable.diagnostics
        except _Refused as why:
            place = Mark(source, 0, why.column, why.width).place()
            diagnostics.append(Diagnostic(place, "", "set", why.message, why.hint))
    return edited, diagnostics


def _without_short_forms(root: Node) -> Node:
    """`cpu: nehalem` is short for `cpu: {profile: nehalem}`."""
    hosts = find(root, ["hosts"])
    for name in hosts.value if hosts is not None and isinstance(hosts.value, dict) else ():
        cpu = find(root, ["hosts", name, "cpu"])
        if cpu is not None and isinstance(cpu.value, str):
            whole = Node({"profile": cpu}, cpu.mark, {"profile": cpu.mark})
            root = replaced(root, ["hosts", name, "cpu"], whole, cpu.mark)
    return root


def _edit(edited: Edited, text: str, source: Source) -> Edited:
    dotted, equals, value = text.partition("=")
    if len(source.lines) > 1 or not equals or not re.fullmatch(r"[^.\s]+(\.[^.\s]+)*", dotted):
        raise _Refused(0, len(source.lines[0]), "found no path=value, expected for instance run.epoch=10ms")
    node = read_value(source, value, len(dotted) + 1)
    steps = dotted.split(".")
    for path in _absolute(edited.root, steps):
        edited = _put(edited, path, node, Mark(source, 0, 0, len(dotted)))
    return edited


def _absolute(root: Node, steps: list[str]) -> list[list[str]]:
    """The paths that are meant: the one given, or one per host for the short form of a host's key."""
    if steps[0] not in _HOST_KEYS:
        return [steps]
    hosts = find(root, ["hosts"])
    names = list(hosts.value) if hosts is not None and isinstance(hosts.value, dict) else []
    if not names:
        raise _Refused(0, len(steps[0]), f"found '{steps[0]}', which is a key of hosts, expected a scenario with hosts")
    return [["hosts", name, *steps] for name in names]


def _put(edited: Edited, steps: list[str], node: Node, key: Mark) -> Edited:
    edited = _with_instance(edited, steps)
    root = edited.root
    described, path = schema.load("scenario"), list[Step]()
    for depth, name in enumerate(steps):
        here = find(root, path)
        assert here is not None
        column = sum(len(step) + 1 for step in key.source.lines[0].split(".")[:0])
        step = _step(here, described, name, steps[:depth], key, column)
        described = _below(described, here, step)
        path.append(step)
        if depth < len(steps) - 1 and _is_nothing(find(root, path)):
            root = replaced(root, path, Node({}, key), key)
    return evolve(edited, root=replaced(root, path, node, key))


def _is_nothing(node: Node | None) -> bool:
    return node is None or node.value is None or not isinstance(node.value, dict | list)


def _step(here: Node, described: object, name: str, before: list[str], key: Mark, column: int) -> Step:
    """The step that a name in the path stands for, or _Refused where there is no such thing."""
    parent = ".".join(before) or "the scenario"
    if isinstance(here.value, list):
        if name.isdigit() and int(name) < len(here.value):
            return int(name)
        raise _unknown(key, before, name, f"expected 0 to {len(here.value) - 1}, an item of {parent}")
    value = here.value if isinstance(here.value, dict) else {}
    known = schema.properties(described, _plain_kind(value))
    is_open = any(isinstance(part.get("additionalProperties"), dict) for part in schema.parts(described, value))
    if name in known or name in value:
        return name
    names = [*value] if is_open else [*known]
    raise _unknown(key, before, name, f"expected a key of {parent}", did_you_mean(name, names))


def _unknown(key: Mark, before: list[str], name: str, expected: str, hint: str = "") -> _Refused:
    written = key.source.lines[0][: key.width].split(".")
    skipped = len(before) + 1 - len(written) if len(before) + 1 > len(written) else 0
    column = sum(len(step) + 1 for step in written[: len(before) - _extra(before, written)])
    del skipped
    return _Refused(column, len(name), f"found '{name}', {expected}", hint)


def _extra(before: list[str], written: list[str]) -> int:
    """How many steps a short form left out in front."""
    return 2 if written[0] in _HOST_KEYS else 0


def _plain_kind(value: dict[str, Node]) -> dict[str, object]:
    return {name: child.value for name, child in value.items()}


def _below(described: object, here: Node, step: Step) -> object:
    """The schema of what stands at a step."""
    value = _plain_kind(here.value) if isinstance(here.value, dict) else here.value
    if isinstance(step, int):
        return next((part["items"] for part in schema.parts(described, value) if "items" in part), {})
    known = schema.properties(described, value)
    if step in known:
        return known[step]
    rest = (part["additionalProperties"] for part in schema.parts(described, value) if "additionalProperties" in part)
    return next((part for part in rest if isinstance(part, dict)), {})


def _with_instance(edited: Edited, steps: list[str]) -> Edited:
    """Makes `vms.web-2` an entry of its own when it is the second of `web: {count: 3}`."""
    vms = find(edited.root, ["vms"])
    match = re.fullmatch(r"(.+)-([1-9][0-9]*)", steps[1]) if steps[0] == "vms" and len(steps) > 2 else None
    if vms is None or not isinstance(vms.value, dict) or match is None or steps[1] in vms.value:
        return edited
    declared = find(vms, [match[1]])
    count = find(vms, [match[1], "count"])
    if declared is None or count is None or not isinstance(count.value, int) or not 1 <= int(match[2]) <= count.value:
        return edited
    entries = {name: child for name, child in declared.value.items() if name != "count"}
    one = evolve(declared, value=entries)
    root = replaced(edited.root, ["vms", steps[1]], one, vms.keys[match[1]])
    return evolve(edited, root=root, instances={**edited.instances, steps[1]: match[1]})


__all__ = ["Edited", "apply", "one_of"]
