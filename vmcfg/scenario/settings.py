"""Values with every default filled in and every quantity converted, as far as the schema found no fault.

Defaults live in the schema alone; here they are put in place. A value with a fault is left out, and asking for it
raises Broken, so that the checks that follow can go on beside the schema's faults: a check that needs a faulty value
ends quietly, all others still report.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from vmcfg import units
from vmcfg.scenario import schema
from vmcfg.scenario.document import Step

Path = tuple[Step, ...]
_ABSENT = object()


class Broken(Exception):
    """A value was asked for that is missing or faulty, which has been reported already."""


class Settings(dict[str, Any]):
    """A mapping of settings; optional keys without default are there with None."""

    def __missing__(self, key: str) -> Any:
        raise Broken(key)


def complete(described: Any, value: Any, broken: Collection[Path], path: Path = ()) -> Any:
    """Fills in defaults and converts quantities of a plain value, leaving out what stands at a broken path."""
    if isinstance(value, dict):
        return _mapping(described, value, broken, path)
    if isinstance(value, list):
        items = _keyword(described, value, "items")
        return [complete(items, item, broken, (*path, index)) for index, item in enumerate(value)]
    kinds = [part for part in schema.parts(described, value) if "x-quantity" in part]
    if kinds and value is not None and value not in kinds[0].get("x-words", ()):
        return units.parse(kinds[0]["x-quantity"], value)
    return value


def _mapping(described: Any, value: dict[str, Any], broken: Collection[Path], path: Path) -> Settings:
    known = schema.properties(described, value)
    rest = _keyword(described, value, "additionalProperties")
    settings = Settings()
    for name in [*known, *(name for name in value if name not in known)]:
        here = (*path, name)
        if _is_broken(value.get(name), broken, here) or (name not in known and not isinstance(rest, dict)):
            continue
        part = known.get(name, rest)
        given = value[name] if name in value else _default(part, name, described, value)
        if given is not _ABSENT:
            settings[name] = complete(part, given, broken, here)
    return settings


def _is_broken(value: Any, broken: Collection[Path], path: Path) -> bool:
    """A list is broken as a whole by one item that cannot be used; an item with a faulty key still can."""
    items = range(len(value)) if isinstance(value, list) else ()
    return path in broken or any((*path, index) in broken for index in items)


def _default(part: Any, name: str, described: Any, value: dict[str, Any]) -> Any:
    """The default of a key, None for an optional one without, _ABSENT for one that must or cannot be there."""
    schemas = list(schema.parts(part, None))
    for candidate in schemas:
        if "default" in candidate:
            return candidate["default"]
    is_required = any(name in whole.get("required", ()) for whole in schema.parts(described, value))
    is_planned = any("not" in candidate for candidate in schemas)
    return _ABSENT if is_required or is_planned else None


def _keyword(described: Any, value: Any, keyword: str) -> Any:
    found = (part[keyword] for part in schema.parts(described, value) if keyword in part)
    return next(found, None)
