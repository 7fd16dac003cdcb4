"""Arrays of a machine share no memory, but those that layers of replacement borrow. Compiled code is told so, and keeps
what it has read from one at hand while it writes to another.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from running import arrays_of, machines_of

from vmcfg.reclaim.layer import BORROWED
from vmcfg.scenario import load

SCENARIOS = Path(__file__).parents[2] / "scenarios"
VARIED = (
    "quickstart.yaml",
    "reclaim/a_balloon_reads_a_file_five_times_faster_than_a_host_that_pages_blindly.yaml",
    "mmu/large_pages_on_both_sides_close_the_gap_between_shadow_and_nested.yaml",
)


def is_borrowed(name: str) -> bool:
    """Tell whether an array of a machine is one of a layer's that are others'; layers lie in a room of the machine."""
    *rooms, field = name.split(".")
    return field in BORROWED and len(rooms) > 1


@pytest.mark.parametrize("path", VARIED)
def test_no_two_arrays_of_a_machine_overlap(path: str) -> None:
    """In the order of their addresses each ends before the next one begins."""
    for _, machine in machines_of(load(SCENARIOS / path)):
        arrays = [array for name, array in arrays_of("", machine) if array.size and not is_borrowed(name)]
        spans = sorted((array.ctypes.data, array.ctypes.data + array.nbytes) for array in arrays)
        assert len(spans) > 40
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
