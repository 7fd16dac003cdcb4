"""Refault distances of guests, against the oracle's dictionary of what is out of memory: see `guest.refaults`.

The oracle keys it by what is out; the engine has an array by slots and pages of files. Invariants are checked, too.
"""

from __future__ import annotations

import pytest
from test_pressure_equals_oracle import MODES, TEXT, WORK, figures, mixture

from vmcfg.plan import compile_plan
from vmcfg.scenario import loads

HOT = "{{kind: hot_cold, region: {}, order: contiguous, hot: 160KiB, hot_share: 80%}}"
FILES = "files: {log: {size: 200KiB}, data: {size: 800KiB}}, page_cache: {read_ahead: 4}, "
SWAP = "swap: {size: 3MiB}, "
ENDS = {"on": "", "rebooted": ", {kind: reboot, every: 1300}", "off": ", {kind: power_off, every: 1900}"}


def text(
    mode: str, regions: str, pattern: str, events: str, own: str = SWAP, victim: str = "two_list", pages: int = 200
) -> str:
    """A guest of so many pages that pages, on a host which does not."""
    how = f"memory: {4 * pages}KiB, kernel_memory: 32KiB, workload: w, {own}"
    how += f"reclaim: {{victim: {victim}, keep_free: 64KiB}}"
    work = WORK.format(regions=regions, pattern=pattern)
    plain = {"paging": "", "power": "", "seek": 0, "host": 4000, "accesses": 3000, "cores": 1}
    return TEXT.format(seed=3, mmu=MODES[mode], vms=f"  a: {{{how}}}", work=work, events=events, **plain)


@pytest.mark.parametrize("mode", MODES)
def test_what_comes_back_from_a_slot_is_judged_by_when_it_went(mode: str) -> None:
    """Its page is another then, and the one that it left holds something else, of which its mark would say nothing.

    In a hundred pages the active list is so short that some distance is just as long.
    """
    switches = "{kind: context_switch, every: 997}"
    found = figures(text(mode, "heap: {size: 600KiB}", HOT.format("heap"), switches, pages=100))
    assert found["a 1 guest_page_ins"] > 500


def test_all_who_lead_to_a_slot_find_its_mark() -> None:
    """After a fork two processes read pages of their own from one slot; what is unmapped in it is forgotten."""
    forks = "{kind: context_switch, every: 37}, {kind: fork, every: 211}, {kind: exit, every: 290}"
    unmapping = ", {kind: munmap, every: 83, region: heap, pages: 20}"
    found = figures(text("nested", "heap: {size: 900KiB}", HOT.format("heap"), forks + unmapping))
    assert found["a 1 forks"] > 10
    assert min(found["a 1 guest_page_ins"], found["a 1 guest_slots_freed"]) > 200


def test_shared_memory_has_a_mark_by_its_slot() -> None:
    """However many map it, it goes and comes once."""
    region = "buffer: {size: 1200KiB, shared: true}"
    switches = "{kind: context_switch, every: 97}"
    found = figures(text("nested", region, HOT.format("buffer"), switches))
    assert found["a 1 guest_page_ins"] > 200


@pytest.mark.parametrize("own", [FILES, SWAP + FILES, "swap: {size: 160KiB}, " + FILES], ids=["files", "both", "full"])
@pytest.mark.parametrize("ended", ENDS.values(), ids=ENDS)
def test_what_comes_back_from_a_file_is_judged_by_when_it_went(own: str, ended: str) -> None:
    """Read, mapped or read along; not what is written as a whole; and nothing is known after a power-off."""
    events = "{kind: read_file, every: 17, file: data, pages: 7}, {kind: write_file, every: 29, file: log, pages: 9}"
    regions = "heap: {size: 320KiB}, mapped: {size: 700KiB, file: data}"
    pattern = mixture("hot_cold, order: contiguous, hot: 160KiB, hot_share: 70%", ("heap", "mapped"))
    found = figures(text("nested", regions, pattern, events + ended, own))
    assert min(found["a 1 file_pages_read"], found["a 1 cache_drops"]) > 200
    assert found["a 1 file_read_ahead"] > 20
    assert bool(ended) == ("a 1 exits power" in found)


def test_who_leaves_no_marks_has_no_room_for_them() -> None:
    """Three megabytes of slots and a thousand kilobytes of files, with a page behind each, at eight bytes a page."""
    forks = "{kind: fork, every: 211}"
    for victim, places, touched in (("clock", 0, 0), ("two_list", 768 + 250 + 2, 768 + 250)):
        scenario = text("nested", "heap: {size: 320KiB}", HOT.format("heap"), forks, SWAP + FILES, victim)
        arrays = compile_plan(loads(scenario)).hosts[0].arrays
        marks = next(array for array in arrays if array.name == "paging.marks")
        assert (8 * places, 8 * touched) == (marks.reserved_bytes, marks.touched_bytes)
