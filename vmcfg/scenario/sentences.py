"""The words for each keyword of JSON Schema: what was found, what was expected, and the way out.

One function per keyword, because the library's own sentences ("'4' is not of type 'object'") talk about the checker
and not about the scenario. Each returns (message, hint).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from vmcfg.scenario import schema
from vmcfg.scenario.scalars import describe, shorten
from vmcfg.scenario.schema import Fault
from vmcfg.scenario.suggest import nearest, one_of

API_VERSION = "vmcfg/v1"
_TYPES = {"object": "a mapping", "array": "a list", "string": "text", "integer": "an integer", "number": "a number",
          "boolean": "true or false"}
_BOOLEANS_OF_YAML_1_1 = ("yes", "no", "on", "off", "y", "n")

Words = tuple[str, str]


def say(fault: Fault) -> tuple[str, str, str]:
    """Message, hint and stable code of a fault."""
    words, code = _SENTENCES.get(fault.keyword, (_other, "invalid"))
    if _is_planned_value(fault):
        words, code = _planned_value, "planned"
    return *words(fault), code


def other_keys(fault: Fault) -> list[str]:
    """The keys that could have been meant by an unknown one: known here, and not given."""
    return [name for name in fault.schema.get("properties", {}) if name not in fault.value]


def _is_planned_value(fault: Fault) -> bool:
    planned = fault.schema.get("x-planned")
    return fault.keyword == "enum" and isinstance(planned, list) and fault.value in planned


def _planned_value(fault: Fault) -> Words:
    return f"'{fault.value}' is not built yet in this version of vmcfg", ""


def _planned_key(fault: Fault) -> Words:
    return f"'{fault.path[-1]}' is not built yet in this version of vmcfg", ""


def _type(fault: Fault) -> Words:
    kinds = fault.wanted if isinstance(fault.wanted, list) else [fault.wanted]
    expected = fault.schema.get("x-expected") or one_of([_TYPES[kind] for kind in kinds], "or")
    return f"found {describe(fault.value)}, expected {expected}", _type_hint(kinds, fault.value)


def _type_hint(kinds: list[str], value: Any) -> str:
    if value is None and ("object" in kinds or "array" in kinds):
        return "nothing is indented below it"
    if "string" in kinds and isinstance(value, bool | int | float):
        return f'quote it to make it text: "{describe(value)}"'
    if "boolean" in kinds and isinstance(value, str) and value.lower() in _BOOLEANS_OF_YAML_1_1:
        return "YAML 1.2 has only the words true and false"
    if "integer" in kinds and isinstance(value, str) and re.fullmatch(r"[0-9_]*[0-9]", value):
        return f"write {value.replace('_', '')}" + ("" if "_" in value else " without quotes")
    return f"a list of one is [{shorten(value)}]" if "array" in kinds and isinstance(value, str) else ""


def _unknown_key(fault: Fault) -> Words:
    found = nearest(fault.key, other_keys(fault))
    return f"found the unknown key '{shorten(fault.key)}'", f"did you mean '{found}'?" if found else ""


def _required(fault: Fault) -> Words:
    parts = schema.parts(fault.schema.get("properties", {}).get(fault.key), None)
    examples = [example for part in parts for example in part.get("examples", ())]
    simple = [example for example in examples if not isinstance(example, dict | list)]
    return f"found no '{fault.key}', expected one", f"for instance {fault.key}: {simple[0]}" if simple else ""


def _enum(fault: Fault) -> Words:
    names = [str(name) for name in fault.wanted]
    expected = fault.schema["x-expected"] if not names else f"one of {one_of(names, 'or')}" if names[1:] else names[0]
    found = nearest(fault.value, names) if isinstance(fault.value, str) else None
    return f"found {describe(fault.value)}, expected {expected}", f"did you mean '{found}'?" if found else ""


def _const(fault: Fault) -> Words:
    hint = f"this version of vmcfg reads {API_VERSION} only" if fault.wanted == API_VERSION else ""
    return f"found {describe(fault.value)}, expected {fault.wanted}", hint


def _quantity(fault: Fault) -> Words:
    assert fault.error is not None
    words = fault.schema.get("x-words", ())
    meant = nearest(fault.value, words) if isinstance(fault.value, str) else None
    hint = f"did you mean '{meant}'?" if meant else fault.error.hint
    return f"found {describe(fault.value)}, expected {' or '.join([fault.error.expected, *words])}", hint


def _least(fault: Fault) -> Words:
    return f"found {_bare(fault.value)}, expected at least {fault.wanted}", ""


def _most(fault: Fault) -> Words:
    return f"found {_bare(fault.value)}, expected at most {fault.wanted}", ""


def _exclusive(fault: Fault) -> Words:
    given = [key for key in fault.wanted if key in fault.value]
    if given:
        return f"found {'both ' if len(given) == 2 else ''}{one_of(given)}, expected one of them", ""
    return f"found neither {one_of(fault.wanted, 'nor')}, expected one of them", ""


def _pattern(fault: Fault) -> Words:
    hint = "names hold no spaces or dots" if re.search(r"[\s.]", fault.value) else ""
    return f"found {describe(fault.value)}, expected {fault.schema.get('x-expected', fault.wanted)}", hint


def _too_few(fault: Fault) -> Words:
    if fault.wanted > 1:
        return f"found {len(fault.value)}, expected at least {fault.wanted} {_ENTRY[fault.keyword]}s", ""
    return f"found {describe(fault.value)}, expected at least one " + _ENTRY[fault.keyword], ""


def _too_many(fault: Fault) -> Words:
    return f"found {len(fault.value)} entries, expected at most {fault.wanted}", ""


def _repeated(fault: Fault) -> Words:
    again = next(item for index, item in enumerate(fault.value) if item in fault.value[:index])
    return f"found {describe(again)} twice, expected each once", ""


def _other(fault: Fault) -> Words:
    return f"found {describe(fault.value)}, expected what the schema says under {fault.keyword}", ""


def _bare(value: Any) -> str:
    return shorten(value) if isinstance(value, str) else describe(value)


_ENTRY = {"minLength": "letter", "minItems": "item", "minProperties": "entry"}

_SENTENCES: dict[str, tuple[Callable[[Fault], Words], str]] = {
    "type": (_type, "type"),
    "additionalProperties": (_unknown_key, "unknown-key"),
    "required": (_required, "missing-key"),
    "enum": (_enum, "choice"),
    "const": (_const, "choice"),
    "not": (_planned_key, "planned"),
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
    "maxProperties": (_too_many, "range"),
    "uniqueItems": (_repeated, "repeated"),
}
