"""Changes to a document before it is checked: `--set path=value`, and short forms written out.

An edit puts a node with its own source into the tree, so that a fault in it shows the text of the `--set`, and
everything after this file cannot tell an edited scenario from one that was written so. A path must lead to a key
that the schema knows there: a typing error must not become a setting that nothing reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from attrs import evolve, frozen

from vmcfg.errors import Diagnostic
from vmcfg.scenario import schema
from vmcfg.scenario.document import Mark, Node, Source, Step, find, replaced
from vmcfg.scenario.reading import Unreadable, read_value, split_lines
from vmcfg.scenario.suggest import did_you_mean

SET = "--set"
_HOST_KEYS = ("mmu", "cpu")  # `mmu.mode=nested` is short for the same of every host


@frozen
class Edited:
    """A document with its edits; `picked` maps a VM that a `--set` picked from a `count` to the one declared."""

    root: Node
    picked: dict[str, str]


class _Refused(Exception):
    """An edit that cannot be made: the stretch of its text that is wrong, and why."""

    def __init__(self, column: int, width: int, message: str, hint: str = ""):
        super().__init__(message)
        self.column, self.width, self.message, self.hint = column, width, message, hint


def apply(root: Node, sets: Sequence[str]) -> tuple[Edited, list[Diagnostic]]:
    """Writes short forms out and applies the edits in order. Returns the faults of the edits that could not be made."""
    edited = Edited(_without_short_forms(root), {})
    diagnostics: list[Diagnostic] = []
    for number, text in enumerate(sets if isinstance(root.value, dict) else (), 1):
        source = Source(SET, split_lines(text), number)
        try:
            edited = _edit(edited, text, source)
        except Unreadable as unreadable:
            diagnostics += unreadable.diagnostics
        except _Refused as why:
            diagnostics.append(_refusal(Mark(source, 0, 0, 1), why))
    return edited, diagnostics


def put(edited: Edited, path: str, node: Node, key: Mark) -> tuple[Edited, list[Diagnostic]]:
    """Puts a value at a dotted path, short forms included; `key` is where the path is written."""
    try:
        if not is_path(path):
            raise _Refused(0, key.width, f"found '{path}', expected a path such as mmu.mode")
        return _put_everywhere(edited, path.split("."), node, key), []
    except _Refused as why:
        return edited, [_refusal(key, why)]


def is_path(text: str) -> bool:
    """Tells whether a text is names with dots between."""
    return re.fullmatch(r"[^.\s]+(\.[^.\s]+)*", text) is not None


def _without_short_forms(root: Node) -> Node:
    """`cpu: nehalem` is short for `cpu: {profile: nehalem}`."""
    for name in _names(root, "hosts"):
        path = ["hosts", name, "cpu"]
        cpu = find(root, path)
        if cpu is not None and isinstance(cpu.value, str):
            root = replaced(root, path, Node({"profile": cpu}, cpu.mark, {"profile": cpu.mark}), cpu.mark)
    return root


def _names(root: Node, section: str) -> list[str]:
    node = find(root, [section])
    return list(node.value) if node is not None and isinstance(node.value, dict) else []


def _edit(edited: Edited, text: str, source: Source) -> Edited:
    path, equals, value = text.partition("=")
    if len(source.lines) > 1 or not equals or not is_path(path):
        raise _Refused(0, len(source.lines[0]), "found no path=value, expected for instance run.epoch=10ms")
    node = read_value(source, value, len(path) + 1)
    key = Mark(source, 0, 0, len(path))
    return _put_everywhere(edited, path.split("."), node, key)


def _refusal(key: Mark, why: _Refused) -> Diagnostic:
    place = evolve(key, column=key.column + why.column, width=why.width).place()
    return Diagnostic(place, "", "set", why.message, why.hint)


def _put_everywhere(edited: Edited, path: list[str], node: Node, key: Mark) -> Edited:
    """Puts a value at all places that a path means, short forms written out."""
    edited = _with_instance(edited, path)
    for steps in _meant(edited, path):
        edited = evolve(edited, root=_put(edited.root, steps, node, key))
    return evolve(edited, root=_without_short_forms(edited.root))


def _with_instance(edited: Edited, steps: list[str]) -> Edited:
    """Makes `vms.web-2` an entry of its own when it is the second of `web: {count: 3}`."""
    match = re.fullmatch(r"(.+)-([1-9][0-9]{0,5})", steps[1]) if steps[0] == "vms" and len(steps) > 2 else None
    if match is None or steps[1] in _names(edited.root, "vms") or steps[2] == "count":
        return edited
    declared, number = match[1], int(match[2])
    vm, count = (find(edited.root, ["vms", declared, *below]) for below in ([], ["count"]))
    if vm is None or count is None or not isinstance(count.value, int) or not number <= count.value:
        return edited
    entries = {name: child for name, child in vm.value.items() if name != "count"}
    root = replaced(edited.root, ["vms", steps[1]], evolve(vm, value=entries), vm.mark)
    return evolve(edited, root=root, picked={**edited.picked, steps[1]: declared})


def _meant(edited: Edited, steps: list[str]) -> Iterator[list[str]]:
    """The full paths that a `--set` means: one per host for a host's key, a VM and those picked from its count."""
    if steps[0] in _HOST_KEYS:
        hosts = _names(edited.root, "hosts")
        if not hosts:
            raise _Refused(0, len(steps[0]), f"found '{steps[0]}', a key of hosts, expected a scenario with hosts")
        yield from (["hosts", name, *steps] for name in hosts)
        return
    yield steps
    if steps[0] == "vms" and len(steps) > 2 and steps[2] != "count":
        yield from (["vms", name, *steps[2:]] for name, declared in edited.picked.items() if declared == steps[1])


def _put(root: Node, steps: list[str], node: Node, key: Mark) -> Node:
    """The tree with a node at a path that the schema knows; mappings on the way are made where they are missing."""
    described: Any = schema.load("scenario")
    path: list[Step] = []
    for depth, name in enumerate(steps):
        here = find(root, path)
        assert here is not None
        step = _step(here, described, steps[: depth + 1], key)
        root = _without_rivals(root, path, described, name)
        described = _below(here, described, step)
        path.append(step)
        if depth < len(steps) - 1 and not _holds_others(find(root, path)):
            root = replaced(root, path, Node({}, key), key)
    return replaced(root, path, node, key)


def _holds_others(node: Node | None) -> bool:
    return node is not None and isinstance(node.value, dict | list)


def _step(here: Node, described: Any, steps: list[str], key: Mark) -> Step:
    """The step that the last name of a path stands for, or _Refused where there is no such thing."""
    name, parent = steps[-1], ".".join(steps[:-1])
    if isinstance(here.value, list):
        if name.isdigit() and int(name) < len(here.value):
            return int(name)
        items = f"it has items 0 to {len(here.value) - 1}"
        raise _unknown(key, steps, f"expected the number of an item of {parent}", items)
    written = here.value if isinstance(here.value, dict) else {}
    known = schema.properties(described, _shallow(here))
    if name in known or name in written:
        return name
    names = [*written] if any(isinstance(rest, dict) for rest in _rests(described, here)) else [*known]
    raise _unknown(key, steps, f"expected a key of {parent or 'the scenario'}", did_you_mean(name, names))


def _unknown(key: Mark, steps: list[str], expected: str, hint: str) -> _Refused:
    """Points at the last step, as far as it was written and not left out by a short form."""
    written = key.source.lines[key.line][key.column :][: key.width].strip("\"'").split(".")
    implied = 2 if written[0] in _HOST_KEYS else 0
    column = sum(len(step) + 1 for step in written[: len(steps) - implied - 1])
    return _Refused(column, len(steps[-1]), f"found '{steps[-1]}', {expected}", hint)


def _without_rivals(root: Node, path: list[Step], described: Any, name: str) -> Node:
    """Setting one of two keys that exclude each other removes the other: `run.accesses` replaces `run.duration`."""
    here = find(root, path)
    assert here is not None
    rules = [part.get(word, ()) for part in schema.parts(described, _shallow(here)) for word in schema.EXCLUSIVE]
    rivals = {rival for rule in rules if name in rule for rival in rule if rival != name}
    if not isinstance(here.value, dict) or not rivals & set(here.value):
        return root
    kept = {key: child for key, child in here.value.items() if key not in rivals}
    return replaced(root, path, evolve(here, value=kept), here.mark)


def _below(here: Node, described: Any, step: Step) -> Any:
    """The schema of what stands at a step."""
    if isinstance(step, int):
        return next((part["items"] for part in schema.parts(described, []) if "items" in part), {})
    known = schema.properties(described, _shallow(here))
    if step in known:
        return known[step]
    return next((rest for rest in _rests(described, here) if isinstance(rest, dict)), {})


def _rests(described: Any, here: Node) -> list[Any]:
    parts = schema.parts(described, _shallow(here))
    return [part["additionalProperties"] for part in parts if "additionalProperties" in part]


def _shallow(node: Node) -> Any:
    """The value one level deep, which is all that an `if` of the schema asks for."""
    if isinstance(node.value, dict):
        return {name: child.value for name, child in node.value.items()}
    return {} if node.value is None else node.value
