"""Finds what is shipped with the code: schemas, processor profiles, the quickstart scenario.

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


def _shipped(name: str) -> Path:
    inside = _PACKAGE / "_shipped" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
