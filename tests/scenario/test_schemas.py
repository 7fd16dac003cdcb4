"""The schemas are valid JSON Schema, documented, and say the same to editors as to us."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bad_inputs
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from vmcfg import resources, units
from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads, schema
from vmcfg.scenario.document import Source, plain
from vmcfg.scenario.reading import read, split_lines

FILES = {path.name: json.loads(path.read_text("utf-8")) for path in resources.schema_directory().glob("*.json")}
OURS = {"x-quantity", "x-minimum", "x-maximum", "x-words", "x-exactly-one", "x-at-most-one", "x-planned", "x-expected"}


def parts(value: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """All mappings inside a schema, with where they are."""
    if isinstance(value, dict):
        yield path, value
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if key not in ("examples", "default", "const", "enum"):
            yield from parts(child, f"{path}/{key}")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_schema_is_valid_json_schema(name: str) -> None:
    """By the meta-schema of 2020-12, with a title and a description, and an $id that is its file's name."""
    Draft202012Validator.check_schema(FILES[name])
    assert name == FILES[name]["$id"]
    assert FILES[name]["title"] and FILES[name]["description"]


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_key_of_the_language_is_described(name: str) -> None:
    """In place or where it refers to; editors show it, and the reference is made of it."""
    for path, part in parts(schema.load(name.removesuffix(".schema.json"))):
        for key, child in part.get("properties", {}).items():
            if isinstance(child, dict) and "/if" not in path and key != "value":
                described = any("description" in found for found in schema.parts(child, None))
                assert described, f"{name}{path}/properties/{key}"


@pytest.mark.parametrize("name", sorted(FILES))
def test_no_schema_uses_one_of(name: str) -> None:
    """oneOf reports the faults of the wrong branch; and only our documented words start with x-."""
    for path, part in parts(FILES[name]):
        assert "oneOf" not in part, path
        assert {key for key in part if key.startswith("x-")} <= OURS, path


@pytest.mark.parametrize("name", sorted(FILES))
def test_defaults_and_examples_of_quantities_are_themselves_valid(name: str) -> None:
    """A default that cannot be read would fail in every scenario; an example, in front of a newcomer."""
    for path, part in parts(schema.load(name.removesuffix(".schema.json"))):
        kinds = [found for found in schema.parts(part, None) if "x-quantity" in found]
        for value in [*part.get("examples", ()), *([part["default"]] if "default" in part else ())] if kinds else ():
            assert value in kinds[0].get("x-words", ()) or units.parse(kinds[0]["x-quantity"], value) is not None, path


@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "good").glob("*.yaml")), ids=lambda path: path.stem)
def test_editors_accept_what_we_accept(path: Path) -> None:
    """Plain JSON Schema, without our words, finds nothing wrong with a good scenario."""
    assert [] == list(_plain_validator().iter_errors(_value(path)))


@pytest.mark.parametrize("name", ["what_is_not_built_yet", "a_misspelt_key", "an_unknown_kind_of_pattern",
                                  "sizes_without_clear_units", "a_parameter_of_another_kind"])  # fmt: skip
def test_editors_refuse_what_the_schema_can_tell(name: str) -> None:
    """Also what is planned only: a key that an editor accepts must not fail when run."""
    assert list(_plain_validator().iter_errors(_value(bad_inputs.HERE / "bad" / f"{name}.yaml")))


def test_planned_words_are_refused_by_name() -> None:
    """Every key that is marked as planned in the scenario's schemas, wherever it stands."""
    smallest = (Path(__file__).parent / "good" / "smallest.yaml").read_text("utf-8")
    places = {"scenario": "", "host": "hosts.esx.", "mmu": "mmu.", "vm": "vms.web.",
              "workload": "workloads.scan.phases.0."}  # fmt: skip
    planned = [place + key for name, place in places.items() for key in _planned(f"{name}.schema.json")]
    assert planned
    for path in planned:
        with pytest.raises(InvalidScenario, match=f"'{path.split('.')[-1]}' is not built yet in this version of vmcfg"):
            loads(smallest, sets=[f"{path}=1"])


def _planned(file: str) -> list[str]:
    keys = [item for _, part in parts(FILES[file]) for item in part.get("properties", {}).items()]
    return [key for key, child in keys if isinstance(child, dict) and child.get("x-planned") is True]


def _plain_validator() -> Draft202012Validator:
    registry = Registry().with_resources((name, DRAFT202012.create_resource(file)) for name, file in FILES.items())
    return Draft202012Validator(FILES["scenario.schema.json"], registry=registry)


def _value(path: Path) -> Any:
    text = path.read_text("utf-8")
    return plain(read(Source(path.name, split_lines(text)), text)[0])
