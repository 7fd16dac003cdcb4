"""The reference of the language as Markdown, made from the schemas, so that it cannot lag behind them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from vmcfg.scenario import schema
from vmcfg.scenario.schema import EXCLUSIVE, Schema
from vmcfg.scenario.suggest import one_of

ORDER = (
    "scenario", "run", "host", "cpu", "mmu", "disk", "swap", "reclaim", "vm", "boot", "guest_reclaim",
    "balloon", "file", "page_cache", "workload", "event", "pattern", "trace", "table", "compare",
    "expect", "quantity",
)  # fmt: skip

_FILE = ".schema.json"


def markdown(subjects: Sequence[str]) -> str:
    """Return the reference of some schemas, each a chapter."""
    return "\n".join(line for subject in subjects for line in _chapter(schema.load(subject)))


def _chapter(described: Schema) -> Iterator[str]:
    yield from (f"## {described['title']}", "", described["description"], *_examples(described), "")
    if "enum" in described:
        yield from (f"One of {_kind(described)}.", "")
    shown: set[int] = set()  # a definition that is used in several places stands at the first
    for shape in (described[word] for word in ("else", "then") if word in described):
        yield from _shape(schema.resolve(shape["$ref"]), shown)
    if "properties" in described or "allOf" in described:
        yield from _mapping(described, "", shown)
    elif "then" not in described:
        for name, part in described.get("$defs", {}).items():
            yield from (f"### {name}", "", part["description"], *_examples(part), "")


def _shape(described: Schema, shown: set[int]) -> Iterator[str]:
    """One of the forms that a value may have: a mapping, or a list of mappings."""
    yield from (f"### {described['description'].rstrip('.')}", "")
    yield from _mapping(schema.resolve(described["items"]["$ref"]) if "items" in described else described, "", shown)


def _mapping(described: Schema, path: str, shown: set[int]) -> Iterator[str]:
    """The keys of a mapping, then those of mappings inside it, then those that follow from its kind."""
    yield from _keys(described)
    for name, part in described.get("properties", {}).items():
        inside = _inside(part)
        if inside and id(inside) not in shown:
            shown.add(id(inside))
            here = f"{path}.{name}".lstrip(".")
            yield from (f"### {here}", "", inside.get("description", ""), "", *_mapping(inside, here, shown))
    for branch in described.get("allOf", ()):
        yield from _branch(branch, shown)


def _keys(described: Schema) -> Iterator[str]:
    known = described.get("properties", {})
    built = {name: part for name, part in known.items() if isinstance(part, dict) and not _is_planned(part)}
    rows = [_row(described, name, part) for name, part in built.items()]
    if rows:
        yield from ("| key | value | default | meaning |", "| --- | --- | --- | --- |", *rows, "")
    planned = [f"`{name}`" for name, part in known.items() if _is_planned(part)]
    if planned:
        yield from (f"Not built yet: {one_of(planned)}.", "")
    for word in EXCLUSIVE:
        if word in described:
            many = "Exactly" if word == "x-exactly-one" else "At most"
            yield from (f"{many} one of {one_of([f'`{key}`' for key in described[word]])} is given.", "")


def _branch(branch: Schema, shown: set[int]) -> Iterator[str]:
    """What follows from a kind, or from the table that a claim is about."""
    if "$ref" in branch:
        for each in schema.resolve(branch["$ref"]).get("allOf", ()):
            yield from _branch(each, shown)
        return
    if "if" not in branch:
        yield from _keys(branch)
        return
    target = schema.resolve(branch["then"]["$ref"])
    if id(target) not in shown:
        shown.add(id(target))
        ((key, wanted),) = branch["if"]["properties"].items()
        yield from (f"#### {key}: {wanted['const']}", "", *_keys(target))


def _row(described: Schema, name: str, part: Schema) -> str:
    found = list(schema.parts(part, None))
    meaning = next((each["description"] for each in found if "description" in each), "")
    default = next((f"`{_plain(each['default'])}`" for each in found if each.get("default", "") != ""), "")
    is_required = name in described.get("required", ())
    return f"| `{name}` | {_kind(part)} | {'required' if is_required else default} | {meaning} |"


def _kind(part: Schema) -> str:
    """Says what may stand at a key."""
    for each in schema.parts(part, None):
        reference = each.get("$ref", "")
        if reference.endswith(_FILE):
            title = schema.resolve(reference)["title"]
            return f"[{title}](#{title.lower().replace(' ', '-')})"
        if reference.startswith(f"quantity{_FILE}"):
            name = reference.rpartition("/")[2]
            return f"[{name}](#{name})"
    merged: Schema = {key: value for each in reversed(list(schema.parts(part, None))) for key, value in each.items()}
    if "enum" in merged:
        return " ".join(f"`{_plain(value)}`" for value in merged["enum"])
    return f"`{merged['const']}`" if "const" in merged else _type(merged)


def _type(part: Schema) -> str:
    kinds = part.get("type", "object")
    if kinds == "array":
        return f"list of {_kind(part['items'])}"
    rest = part.get("additionalProperties")
    if kinds == "object" and isinstance(rest, dict) and "properties" not in part:
        return f"names to {_kind(rest)}"
    if kinds == "object" and "properties" in part:
        names = [f"`{name}`" for name, each in part["properties"].items() if not _is_planned(each)]
        return " ".join(["mapping of", *names])
    bounds = [f"{word} {part[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in part]
    words = {"object": "mapping", "string": "text", "boolean": "`true` `false`"}
    listed = one_of([words.get(kind, kind) for kind in (kinds if isinstance(kinds, list) else [kinds])], "or")
    return " ".join([listed, *bounds])


def _examples(part: Schema) -> Iterator[str]:
    if part.get("examples"):
        yield "For instance " + one_of([f"`{_plain(example)}`" for example in part["examples"]], "or") + "."


def _inside(part: Any) -> Schema | None:
    """The mapping that may stand at a key, or at each name or item there, if it has no file of its own."""
    parts = list(schema.parts(part, {}))
    deeper = (each[word] for each in parts for word in ("additionalProperties", "items") if word in each)
    for each in (*parts, *(found for below in deeper for found in schema.parts(below, None))):
        if "$id" in each:
            return None
        if each.get("properties"):
            return each
    return None


def _is_planned(part: Any) -> bool:
    return isinstance(part, dict) and part.get("x-planned") is True


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
