"""Finds what is shipped with the code: schemas, processor profiles, scenarios to begin with, documentation.

A wheel carries schemas and scenarios inside the package, in `_shipped`; a checkout (and an editable install) has
them beside it. Both are looked for here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def schema_directory() -> Path:
    """The folder of `*.schema.json`."""
    return _shipped("schemas")


def scenario_directory() -> Path:
    """The folder of shipped scenarios; a wheel has the quickstart only."""
    return _shipped("scenarios")


def profile_directory() -> Path:
    """The folder of `*.yaml` processor profiles."""
    return _PACKAGE / "data" / "profiles"


def profile_names() -> list[str]:
    """Names of the processor profiles, sorted."""
    return sorted(path.stem for path in profile_directory().glob("*.yaml"))


def schema_names() -> list[str]:
    """Names of the schemas, sorted: host, vm and so on."""
    return sorted(path.name.removesuffix(".schema.json") for path in schema_directory().glob("*.schema.json"))


def starter() -> str:
    """The text of a scenario to begin with."""
    return (_PACKAGE / "data" / "starter.yaml").read_text("utf-8")


def pages() -> dict[str, str]:
    """The documentation: Markdown by topic, sorted."""
    return {path.stem: path.read_text("utf-8") for path in sorted((_PACKAGE / "docs").glob("*.md"))}


def _shipped(name: str) -> Path:
    inside = _PACKAGE / "_shipped" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
