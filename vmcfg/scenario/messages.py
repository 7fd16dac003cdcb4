"""Puts the schema's faults into words: what was found, what was expected, and the way out.

One function per keyword of JSON Schema, because the library's own sentences ("'4' is not of type 'object'") talk
about the checker and not about the scenario.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from vmcfg.errors import Diagnostic
from vmcfg.scenario import schema
from vmcfg.scenario.document import Node, Step, alias_notes, dotted, find, key_place, value_place
from vmcfg.scenario.scalars import describe, shorten
from vmcfg.scenario.schema import Fault
from vmcfg.scenario.suggest import nearest, one_of

API_VERSION = "vmcfg/v1"

_TYPES = {"object": "a mapping", "array": "a list", "string": "text", "integer": "an integer", "number": "a number",
          "boolean": "true or false"}


def diagnose(root: Node, schema_name: str, faults: Iterable[Fault]) -> list[Diagnostic]:
    """Each fault as a diagnostic with its position; faults that another one explains are left out."""
    kept = _explained_once(list(faults))
    return [_diagnostic(root, schema_name, fault) for fault in kept]


def broken_paths(faults: Iterable[Fault]) -> set[tuple[Step, ...]]:
    """Paths whose values cannot be used."""
    broken: set[tuple[Step, ...]] = set()
    for fault in faults:
        if fault.keyword == "x-exactly-one" or fault.keyword == "x-at-most-one":
            broken.update((*fault.path, key) for key in fault.wanted)
        elif fault.keyword not in ("required", "additionalProperties", "propertyNames"):
            broken.add(fault.path)
    return broken


def _explained_once(faults: list[Fault]) -> list[Fault]:
    unreadable = {fault.path for fault in faults if fault.keyword == "x-quantity"}
    guesses = {(fault.path, nearest(fault.key, _keys(fault))) for fault in faults if _is_unknown_key(fault)}
    return [
        fault for fault in faults
        if not (fault.keyword in ("x-minimum", "x-maximum", "minimum", "maximum") and fault.path in unreadable)
        and not (fault.keyword == "required" and (fault.path, fault.key) in guesses)
        and not (fault.keyword == "x-exactly-one" and any((fault.path, key) in guesses for key in fault.wanted))
    ]


def _diagnostic(root: Node, schema_name: str, fault: Fault) -> Diagnostic:
    say, code = _SENTENCES.get(fault.keyword, (_other, "invalid"))
    message, hint = say(fault)
    path = fault.path
    if fault.keyword == "additionalProperties":
        hint = hint or _misplaced(root, schema_name, fault)
        place = key_place(root, (*path, fault.key))
    elif fault.keyword in ("required", "x-exactly-one", "minProperties") and not (fault.key and fault.keyword[0] == "x"):
        place = key_place(root, path)
    elif fault.keyword == "x-exactly-one" or fault.keyword == "x-at-most-one":
        place = key_place(root, (*path, fault.key))
    elif fault.keyword == "not":
        place = key_place(root, path)
    else:
        place = value_place(root, path)
    if _is_name_of_key(root, fault):
        place = key_place(root, (*path, str(fault.value)))
    return Diagnostic(place, dotted(path), _code(fault, code), message, hint, alias_notes(root, path))


def _is_name_of_key(root: Node, fault: Fault) -> bool:
    """propertyNames reports the name itself as the value, at the path of its mapping."""
    node = find(root, fault.path)
    return isinstance(fault.value, str) and node is not None and isinstance(node.value, dict)


def _code(fault: Fault, code: str) -> str:
    return "planned" if _is_planned(fault) else code


def _is_planned(fault: Fault) -> bool:
    planned = fault.schema.get("x-planned", ())
    if fault.keyword == "enum":
        return isinstance(planned, list) and fault.value in planned
    return fault.keyword == "not" and planned is True


def _is_unknown_key(fault: Fault) -> bool:
    return fault.keyword == "additionalProperties"


def _keys(fault: Fault) -> list[str]:
    return [name for name in fault.schema.get("properties", {}) if name not in fault.value]


def _type(fault: Fault) -> tuple[str, str]:
    kinds = fault.wanted if isinstance(fault.wanted, list) else [fault.wanted]
    expected = fault.schema.get("x-expected") or one_of([_TYPES[kind] for kind in kinds], "or")
    return f"found {describe(fault.value)}, expected {expected}", _type_hint(kinds, fault.value)


def _type_hint(kinds: list[str], value: Any) -> str:
    if value is None and ("object" in kinds or "array" in kinds):
        return "nothing is indented below it"
    if "string" in kinds and isinstance(value, bool | int | float):
        return f'quote it to make it text: "{describe(value)}"'
    if "boolean" in kinds and isinstance(value, str):
        return "YAML 1.2 has only the words true and false" if value.lower() in ("yes", "no", "on", "off", "y", "n") else ""
    if "integer" in kinds and isinstance(value, str) and value.replace("_", "").isdigit():
        return f"write {value.replace('_', '')}" + ("" if "_" in value else " without quotes")
    if "array" in kinds and isinstance(value, str):
        return f"a list of one is [{shorten(value)}]"
    return ""


def _unknown_key(fault: Fault) -> tuple[str, str]:
    known = _keys(fault)
    found = nearest(fault.key, known)
    return f"found the unknown key '{shorten(fault.key)}'", f"did you mean '{found}'?" if found else ""


def _misplaced(root: Node, schema_name: str, fault: Fault) -> str:
    """What the indentation or the mapping may have to do with an unknown key."""
    node = find(root, fault.path)
    names = list(node.value) if node is not None and isinstance(node.value, dict) else []
    before = names[names.index(fault.key) - 1] if fault.key in names[1:] else None
    if before is not None and node is not None and node.value[before].value is None:
        return f"indent it if it belongs under '{before}', which is empty"
    homes = _homes(schema_name).get(fault.key, [])
    if homes:
        return f"this key belongs under {one_of(homes, 'or')}"
    known = [name for name, part in fault.schema.get("properties", {}).items() if not _is_planned_key(part)]
    return f"the keys here are {one_of(known)}" if known else ""


def _is_planned_key(part: Any) -> bool:
    return isinstance(part, dict) and part.get("x-planned") is True


def _homes(schema_name: str) -> dict[str, list[str]]:
    """Where each key of the language belongs, as paths with <name> for names."""
    homes: dict[str, list[str]] = {}

    def visit(described: Any, path: str, depth: int) -> None:
        for part in _all_parts(described):
            for name, child in part.get("properties", {}).items():
                if path and not _is_planned_key(child) and path not in homes.setdefault(name, []):
                    homes[name].append(path)
                if depth:
                    visit(child, f"{path}.{name}".lstrip("."), depth - 1)
            for inner, step in ((part.get("additionalProperties"), "<name>"), (part.get("items"), "<n>")):
                if isinstance(inner, dict) and depth:
                    visit(inner, f"{path}.{step}", depth - 1)

    visit(schema.load(schema_name), "", 6)
    return homes


def _all_parts(described: Any) -> Iterable[dict[str, Any]]:
    """Like schema.parts, with the branches of every kind."""
    if not isinstance(described, dict):
        return
    yield described
    if "$ref" in described:
        yield from _all_parts(schema.resolve(described["$ref"]))
    for branch in [*described.get("allOf", ()), described.get("then"), described.get("else")]:
        yield from _all_parts(branch)


def _required(fault: Fault) -> tuple[str, str]:
    examples = [example for part in schema.parts(fault.schema.get("properties", {}).get(fault.key), None)
                for example in part.get("examples", ()) if not isinstance(example, dict | list)]
    hint = f"for instance {fault.key}: {examples[0]}" if examples else ""
    return f"found no '{fault.key}', expected one", hint


def _enum(fault: Fault) -> tuple[str, str]:
    if _is_planned(fault):
        return _not_built(f"'{fault.value}'")
    names = [describe(name).strip("'") for name in fault.wanted]
    expected = f"one of {one_of(names, 'or')}" if len(names) > 1 else names[0] if names else fault.schema["x-expected"]
    found = nearest(fault.value, names) if isinstance(fault.value, str) else None
    return f"found {describe(fault.value)}, expected {expected}", f"did you mean '{found}'?" if found else ""


def _const(fault: Fault) -> tuple[str, str]:
    hint = ""
    if fault.wanted == API_VERSION:
        hint = f"this version of vmcfg reads {API_VERSION} only"
    return f"found {describe(fault.value)}, expected {describe(fault.wanted).strip(chr(39))}", hint


def _not(fault: Fault) -> tuple[str, str]:
    name = str(fault.path[-1]) if fault.path else ""
    return _not_built(f"'{name}'")


def _not_built(name: str) -> tuple[str, str]:
    return f"{name} is not built yet in this version of vmcfg", ""


def _quantity(fault: Fault) -> tuple[str, str]:
    assert fault.error is not None
    words = fault.schema.get("x-words", ())
    expected = " or ".join([fault.error.expected, *words])
    meant = nearest(fault.value, words) if isinstance(fault.value, str) else None
    return f"found {describe(fault.value)}, expected {expected}", f"did you mean '{meant}'?" if meant else fault.error.hint


def _least(fault: Fault) -> tuple[str, str]:
    return f"found {describe(fault.value).strip(chr(39))}, expected at least {fault.wanted}", ""


def _most(fault: Fault) -> tuple[str, str]:
    return f"found {describe(fault.value).strip(chr(39))}, expected at most {fault.wanted}", ""


def _exclusive(fault: Fault) -> tuple[str, str]:
    given = [key for key in fault.wanted if key in fault.value]
    if given:
        return f"found both {one_of(given)}, expected one of them", ""
    return f"found neither {one_of(fault.wanted, 'nor')}, expected one of them", ""


def _pattern(fault: Fault) -> tuple[str, str]:
    hint = "names hold no spaces or dots" if re.search(r"[\s.]", fault.value) else ""
    return f"found {describe(fault.value)}, expected {fault.schema.get('x-expected', fault.wanted)}", hint


def _too_few(fault: Fault) -> tuple[str, str]:
    return f"found {describe(fault.value)}, expected at least one entry", ""


def _too_many(fault: Fault) -> tuple[str, str]:
    return f"found {len(fault.value)} entries, expected at most {fault.wanted}", ""


def _repeated(fault: Fault) -> tuple[str, str]:
    again = [item for index, item in enumerate(fault.value) if item in fault.value[:index]]
    return f"found {describe(again[0])} twice, expected each once", ""


def _other(fault: Fault) -> tuple[str, str]:
    return f"found {describe(fault.value)}, expected what the schema says under {fault.keyword}", ""


_SENTENCES: dict[str, tuple[Callable[[Fault], tuple[str, str]], str]] = {
    "type": (_type, "type"),
    "additionalProperties": (_unknown_key, "unknown-key"),
    "required": (_required, "missing-key"),
    "enum": (_enum, "choice"),
    "const": (_const, "choice"),
    "not": (_not, "planned"),
    "x-quantity": (_quantity, "quantity"),
    "minimum": (_least, "range"),
    "maximum": (_most, "range"),
    "x-minimum": (_least, "range"),
    "x-maximum": (_most, "range"),
    "x-exactly-one": (_exclusive, "exclusive"),
    "x-at-most-one": (_exclusive, "exclusive"),
    "pattern": (_pattern, "name"),
    "minLength": (_too_few, "empty"),
    "minItems": (_too_few, "empty"),
    "minProperties": (_too_few, "empty"),
    "maxItems": (_too_many, "range"),
    "uniqueItems": (_repeated, "repeated"),
}

