"""Turns what the schema forbids into diagnostics: which faults to tell, where each one is, what may have gone wrong.

The words for each keyword of JSON Schema are in `sentences`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from vmcfg.errors import Diagnostic, Place
from vmcfg.scenario import homes
from vmcfg.scenario.document import Node, Step, alias_notes, dotted, find, key_place, value_place
from vmcfg.scenario.schema import EXCLUSIVE, Fault
from vmcfg.scenario.sentences import other_keys, say
from vmcfg.scenario.suggest import nearest

MOST_TOLD = 1000  # faults; a text with more is no scenario, and nobody reads that far

_BOUNDS = ("minimum", "maximum", "x-minimum", "x-maximum")
# Shown at the key of what they are about:
_OF_A_MAPPING = ("required", "x-exactly-one", "minProperties", "maxProperties", "not")


def diagnose(root: Node, schema_name: str, faults: Iterable[Fault]) -> list[Diagnostic]:
    """Each fault as a diagnostic with its position; faults that another one explains are left out."""
    told = _without_consequences(list(islice(faults, MOST_TOLD)))
    return [_diagnostic(root, schema_name, fault) for fault in told]


def broken_paths(faults: Iterable[Fault]) -> set[tuple[Step, ...]]:
    """Paths whose values cannot be used."""
    broken: set[tuple[Step, ...]] = set()
    for fault in faults:
        if fault.keyword in EXCLUSIVE:
            broken.update((*fault.path, key) for key in fault.wanted)
        elif fault.keyword not in ("required", "additionalProperties", "propertyNames"):
            broken.add(fault.path)
    return broken


def _without_consequences(faults: list[Fault]) -> list[Fault]:
    """Drops what follows from another fault: bounds of an unreadable quantity, a key that is there but misspelt."""
    unreadable = {fault.path for fault in faults if fault.keyword == "x-quantity"}
    meant = {(fault.path, nearest(fault.key, other_keys(fault))) for fault in faults if _is_unknown_key(fault)}
    return [
        fault for fault in faults
        if not (fault.keyword in _BOUNDS and fault.path in unreadable)
        and not (fault.keyword == "required" and (fault.path, fault.key) in meant)
        and not (fault.keyword in EXCLUSIVE and any((fault.path, key) in meant for key in fault.wanted))
    ]


def _diagnostic(root: Node, schema_name: str, fault: Fault) -> Diagnostic:
    message, hint, code = say(fault)
    path = fault.path
    if _is_unknown_key(fault):
        path = (*path, fault.key)
        hint = homes.elsewhere(schema_name, path) or hint or _unindented(root, fault) or homes.here(fault.schema)
    elif fault.keyword == "required" and _stands_beside(root, path, fault.key):
        hint = f"indent the '{fault.key}' beside it, if it belongs under '{path[-1]}'"
    return Diagnostic(_place(root, fault), dotted(fault.path), code, message, hint, alias_notes(root, path))


def _place(root: Node, fault: Fault) -> Place:
    """The key or the value that a fault is about."""
    if _is_unknown_key(fault) or (fault.keyword in EXCLUSIVE and fault.key):
        return key_place(root, (*fault.path, fault.key))
    if _is_name(root, fault):
        return key_place(root, (*fault.path, str(fault.value)))
    return (key_place if fault.keyword in _OF_A_MAPPING else value_place)(root, fault.path)


def _is_name(root: Node, fault: Fault) -> bool:
    """propertyNames reports a name as the value, at the path of the mapping that has it."""
    node = find(root, fault.path)
    return isinstance(fault.value, str) and node is not None and isinstance(node.value, dict)


def _is_unknown_key(fault: Fault) -> bool:
    return fault.keyword == "additionalProperties"


def _stands_beside(root: Node, path: tuple[Step, ...], key: str) -> bool:
    """Whether a missing key stands one level too far left."""
    return bool(path) and path[-1] != key and find(root, (*path[:-1], key)) is not None


def _unindented(root: Node, fault: Fault) -> str:
    """An unknown key after an empty one may have lost its indentation."""
    node = find(root, fault.path)
    assert node is not None
    names = list(node.value)
    before = names[names.index(fault.key) - 1] if fault.key in names[1:] else None
    is_empty = before is not None and node.value[before].value is None
    return f"indent it if it belongs under '{before}', which is empty" if is_empty else ""
