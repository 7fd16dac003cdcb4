"""The schemas, and what is wrong with a value by them. The one file that knows jsonschema.

The files are plain JSON Schema 2020-12, which editors understand, with a few words of our own on top:

    x-quantity       the text is a quantity of this kind (units.PARSERS); type and pattern are then for editors only
    x-minimum, x-maximum, x-words    bounds of a quantity, and words allowed in its place
    x-exactly-one, x-at-most-one     keys that exclude each other
    x-planned        a key, or a list of values, that a later version will know: refused by name
    x-expected       how to name what is expected here in an error

A tagged union is an enum on `kind` with one if/then per kind: `oneOf` would report the faults of the wrong branch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from attrs import frozen

from vmcfg import resources, units
from vmcfg.scenario.document import Step

Schema = dict[str, Any]
EXCLUSIVE = ("x-exactly-one", "x-at-most-one")
_ABOUT_ONE_KEY = ("required", "additionalProperties", *EXCLUSIVE)


@frozen
class Fault:
    """Something that a schema forbids: at which path, by which keyword with which value, in which schema."""

    path: tuple[Step, ...]
    keyword: str
    wanted: Any
    schema: Schema
    value: Any
    key: str = ""  # the one key that the fault is about: required, additionalProperties, x-exactly-one
    error: units.QuantityError | None = None


def faults(schema_name: str, value: Any) -> list[Fault]:
    """Everything that the schema forbids in a value of dicts, lists and scalars."""
    return [_fault(error) for error in _validator(schema_name).iter_errors(value) if not _is_for_editors(error)]


def load(name: str) -> Schema:
    """A schema with its references made absolute, such as `quantity.schema.json#/$defs/size`."""
    return _files()[f"{name}.schema.json"]


def parts(schema: Any, value: Any) -> Iterator[Schema]:
    """The schemas that together describe a value: the schema, what it refers to, and the branches that apply."""
    if not isinstance(schema, dict):
        return
    yield schema
    if "$ref" in schema:
        yield from parts(resolve(schema["$ref"]), value)
    for part in schema.get("allOf", ()):
        yield from parts(part, value)
    if "if" in schema:
        yield from parts(schema.get("then" if _applies(schema["if"], value) else "else"), value)


def properties(schema: Any, value: Any) -> dict[str, Any]:
    """The keys that a mapping may have, with the schema of each."""
    found: dict[str, Any] = {}
    for part in parts(schema, value):
        found.update(part.get("properties", {}))
    return found


def resolve(reference: str) -> Schema:
    """What an absolute reference names."""
    file, _, pointer = reference.partition("#")
    target: Any = _files()[file]
    for step in filter(None, pointer.split("/")):
        target = target[step]
    found: Schema = target
    return found


@cache
def _files() -> dict[str, Schema]:
    files = sorted(resources.schema_directory().glob("*.schema.json"))
    return {file.name: _absolute(json.loads(file.read_text("utf-8")), file.name) for file in files}


def _absolute(schema: Any, file: str) -> Any:
    if isinstance(schema, list):
        return [_absolute(item, file) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # Without $schema, which would make jsonschema leave our validator for its own at each file.
    copy = {key: _absolute(item, file) for key, item in schema.items() if key != "$schema"}
    if isinstance(copy.get("$ref"), str) and copy["$ref"].startswith("#"):
        copy["$ref"] = file + copy["$ref"]
    return copy


def _applies(condition: Schema, value: Any) -> bool:
    """Whether an `if` holds; ours ask for a type or for the constant of one key."""
    if "type" in condition:
        return isinstance(value, {"object": dict, "string": str}[condition["type"]])
    (key, wanted), = condition["properties"].items()
    return isinstance(value, dict) and value.get(key) == wanted["const"]


@cache
def _validator(schema_name: str) -> Any:
    from jsonschema import Draft202012Validator, validators
    from referencing import Registry
    from referencing.jsonschema import DRAFT202012

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
    keywords = {
        "required": _required,
        "additionalProperties": _closed,
        "x-quantity": _quantity,
        "x-minimum": _bound(lambda amount, limit: amount >= limit),
        "x-maximum": _bound(lambda amount, limit: amount <= limit),
        "x-exactly-one": _exclusive(least=1),
        "x-at-most-one": _exclusive(least=0),
    }
    shipped = [(name, DRAFT202012.create_resource(schema)) for name, schema in _files().items()]
    ours = validators.extend(Draft202012Validator, keywords, type_checker=types)
    return ours(load(schema_name), registry=Registry().with_resources(shipped))


def _fault(error: Any) -> Fault:
    about = error.cause if isinstance(error.cause, units.QuantityError) else None
    path = tuple(error.absolute_path)
    key = error.message if error.validator in _ABOUT_ONE_KEY else ""
    return Fault(path, error.validator, error.validator_value, error.schema, error.instance, key, about)


def _is_for_editors(error: Any) -> bool:
    return error.validator in ("type", "pattern") and "x-quantity" in error.schema


def _is_integer(_: Any, value: Any) -> bool:
    """Unlike JSON Schema's own, refuses 1.0, which says that somebody meant a quantity with a point."""
    return isinstance(value, int) and not isinstance(value, bool)


def _error(message: str, **details: Any) -> Any:
    from jsonschema import ValidationError

    return ValidationError(message, **details)


def _required(_: Any, wanted: list[str], value: Any, __: Schema) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from (_error(key) for key in wanted if key not in value)


def _closed(validator: Any, wanted: Any, value: Any, schema: Schema) -> Iterator[Any]:
    """additionalProperties, with one error per key."""
    if not isinstance(value, dict):
        return
    known = schema.get("properties", {})
    ignored = tuple(pattern.removeprefix("^") for pattern in schema.get("patternProperties", {}))
    for key in value:
        if key in known or (ignored and key.startswith(ignored)):
            continue
        if wanted is False:
            yield _error(key)
        else:
            yield from validator.descend(value[key], wanted, path=key)


def _quantity(_: Any, kind: str, value: Any, schema: Schema) -> Iterator[Any]:
    if value in schema.get("x-words", ()):
        return
    try:
        units.parse(kind, value)
    except units.QuantityError as error:
        yield _error(str(error), cause=error)


def _bound(holds: Any) -> Any:
    def check(_: Any, limit: str, value: Any, __: Schema) -> Iterator[Any]:
        found, bound = units.amount(value), units.amount(limit)
        if found and bound and found[0] == bound[0] and not holds(found[1], bound[1]):
            yield _error(limit)

    return check


def _exclusive(least: int) -> Any:
    def check(_: Any, keys: list[str], value: Any, __: Schema) -> Iterator[Any]:
        given = [key for key in keys if key in value] if isinstance(value, dict) else []
        if len(given) > 1:
            yield _error(given[1])
        elif isinstance(value, dict) and len(given) < least:
            yield _error("")

    return check
