"""A balloon's size is said by what it holds or by what the guest keeps, and not by both."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import loads
from vmcfg.scenario.spec import BalloonStep

SMALLEST = (Path(__file__).parent / "good" / "smallest.yaml").read_text("utf-8")


def steps(memory: str, balloon: str) -> tuple[BalloonStep, ...]:
    """What the driver is asked for, by time."""
    (vm, *_) = loads(SMALLEST, sets=[f"vms.web.memory={memory}", f"vms.web.balloon={balloon}"]).vms
    assert vm.balloon
    return vm.balloon.steps


@pytest.mark.parametrize(("memory", "pages"), [("64MiB", 8192), ("32MiB", 0), ("40MiB", 2048)])
def test_what_a_guest_keeps_is_its_memory_less_the_balloon(memory: str, pages: int) -> None:
    """32 MiB stay of any memory; a guest that never had more has an empty balloon."""
    assert (BalloonStep(0, pages),) == steps(memory, "{keep: 32MiB}")
    assert (BalloonStep(0, 0),) == steps("16MiB", "{keep: 32MiB}")


def test_both_ways_at_once_contradict_each_other() -> None:
    """Either a target or what is kept."""
    with pytest.raises(InvalidScenario, match="target"):
        steps("64MiB", "{keep: 32MiB, target: 4MiB}")
