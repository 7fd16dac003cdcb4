"""Where the keys of the language belong, for a key that was written in the wrong place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from vmcfg.scenario import schema
from vmcfg.scenario.document import Step
from vmcfg.scenario.suggest import one_of

DEEPEST = 6  # levels from the top to look for a key
MOST_SHOWN = 3


def elsewhere(schema_name: str, path: Sequence[Step]) -> str:
    """Says where the last key of a path belongs, if the language has such a key in another place."""
    places = [place for place in _homes(schema_name).get(str(path[-1]), ()) if not _is_at(place, path[:-1])]
    return f"this key belongs under {one_of(places[:MOST_SHOWN], 'or')}" if places else ""


def here(described: schema.Schema) -> str:
    """Says which keys a mapping may have."""
    known = [name for name, part in described.get("properties", {}).items() if not _is_planned(part)]
    return f"the keys here are {one_of(known)}" if known else ""


def _is_at(place: str, path: Sequence[Step]) -> bool:
    steps = place.split(".")
    return len(steps) == len(path) and all(
        step.startswith("<") or step == str(given) for step, given in zip(steps, path, strict=True)
    )


@cache
def _homes(schema_name: str) -> dict[str, list[str]]:
    """Dotted paths, with <name> for names, of the mappings that know each key; those nearest the top first."""
    places: dict[str, list[str]] = {}
    for key, place in sorted(_keys(schema.load(schema_name), "", DEEPEST), key=lambda found: found[1].count(".")):
        if place and place not in places.setdefault(key, []):
            places[key].append(place)
    return places


def _keys(described: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    for part in _all_parts(described) if depth else ():
        for name, child in part.get("properties", {}).items():
            if not _is_planned(child):
                yield name, path
                yield from _keys(child, f"{path}.{name}".lstrip("."), depth - 1)
        yield from _keys(part.get("additionalProperties"), f"{path}.<name>", depth - 1)
        yield from _keys(part.get("items"), f"{path}.<n>", depth - 1)


def _all_parts(described: Any) -> Iterator[schema.Schema]:
    """Like schema.parts, with the branches of every kind."""
    if not isinstance(described, dict):
        return
    yield described
    if "$ref" in described:
        yield from _all_parts(schema.resolve(described["$ref"]))
    for branch in [*described.get("allOf", ()), described.get("then"), described.get("else")]:
        yield from _all_parts(branch)


def _is_planned(part: Any) -> bool:
    return isinstance(part, dict) and part.get("x-planned") is True
