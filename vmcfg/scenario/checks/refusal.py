"""What a refusal of a combination is made of: rows of `machine.REFUSED`."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from vmcfg.scenario.findings import Path
from vmcfg.scenario.settings import Settings


@frozen
class Refusal:
    """A combination that is refused: what is written at `key`, because of what is or is not at `because`."""

    name: str
    section: str  # hosts | vms: where `key` is
    key: Path
    because: Path  # in the host; () where `why` says it all
    applies: Callable[[Settings, Settings], bool]  # of the host, and the host or VM itself
    expected: str
    why: str


def lacks(*features: str) -> Callable[[Settings], bool]:
    """Return what tells of a host whether its processor has none of these."""
    return lambda host: not set(features) & set(host["cpu"]["features"])
