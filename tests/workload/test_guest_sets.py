"""Accessed and dirty sets of whole guests: read as an obvious loop reads them, replayed as independent code does."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import replacement
from trace_makers import COMPRESS, accesses_of, read

from vmcfg.reclaim.replay import replay
from vmcfg.scenario.spec import Trace
from vmcfg.workload.traces import TraceError
from vmcfg.workload.traces import read as read_trace

DATA = Path(__file__).parents[2] / "scenarios" / "data"
END = b"\xff" * 4
seen = st.lists(st.tuples(st.integers(0, (1 << 31) - 2), st.booleans()), min_size=1, max_size=12)


def packed(epochs: list[list[tuple[int, bool]]], is_cut_short: bool) -> bytes:
    """Records of `page << 1 | store`, each epoch closed by an end, the last one perhaps not."""
    parts = [b"".join((page << 1 | is_store).to_bytes(4, "little") for page, is_store in epoch) for epoch in epochs]
    return END.join(parts) + END * (not is_cut_short)


@given(st.lists(seen, min_size=1, max_size=8), st.booleans(), st.sampled_from(sorted(COMPRESS)))
@settings(max_examples=40, deadline=None)
def test_pages_of_epochs_are_read_in_order(epochs, is_cut_short, compression):
    """A load where a page was first accessed, a store where it was first stored to; ends are counted."""
    found = read("guest_physical", COMPRESS[compression](packed(epochs, is_cut_short)))
    assert [(page, 1 + is_store) for epoch in epochs for page, is_store in epoch] == accesses_of(found)
    assert ("sets", len(epochs) - is_cut_short) == (found.kind, found.epoch_count)
    assert list(accumulate(map(len, epochs))) == found.ends.tolist()


@pytest.mark.parametrize(("text", "record"), [(END, 1), ((8).to_bytes(4, "little") + END + END, 3)])
def test_an_epoch_without_accesses_is_refused(text: bytes, record: int) -> None:
    """A guest that accesses nothing for a million accesses does not exist: the file is damaged."""
    with pytest.raises(TraceError, match=f"record {record}: found the end of an epoch in which no page was accessed"):
        read("guest_physical", text)


@pytest.mark.parametrize(
    ("name", "epochs", "pages", "records"), [("boot", 424, 23_382, 172_519), ("sqlite_guest", 715, 23_470, 243_617)]
)
def test_whole_guests_are_read_whole(name: str, epochs: int, pages: int, records: int) -> None:
    """As whoever recorded them counted, and as a third-party reader of zstd and NumPy counts."""
    found = read_trace(guest(name))
    assert (epochs, pages, records) == (found.epoch_count, len(found.vpns), len(found.records))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boot", "sqlite_guest"])
@pytest.mark.parametrize(
    ("policy", "naive"),
    [("fifo", replacement.Fifo), ("lru", replacement.Lru), ("clock", replacement.Clock),
     ("two_list", replacement.TwoList)],
)  # fmt: skip
def test_whole_guests_miss_as_lists_of_pages_say(name: str, policy: str, naive: type) -> None:
    """32 MiB and 64 MiB for a guest of 128 MiB."""
    pages = read_trace(guest(name)).records >> 2
    for capacity in (8_192, 16_384):
        assert replacement.misses(naive(), pages.tolist(), capacity) == replay(pages, capacity, policy)


def guest(name: str) -> Trace:
    return Trace(name, DATA / f"{name}.gpa.zst", "guest_physical")

