"""Whole guests replayed below their page tables: the host pages as plain lists say, when the epochs say."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import replacement
from test_guest_sets import guest, packed

import vmcfg
from vmcfg.errors import RunFailed
from vmcfg.workload.traces import read

DATA = Path(__file__).parents[2] / "scenarios" / "data"
SCENARIO = """\
apiVersion: vmcfg/v1
kind: Scenario
metadata: {title: A whole guest}
run: {accesses: all}
hosts:
  h:
    memory: 160MiB
    cpu: {profile: haswell, hz: 1000000000, costs: {access: 1}}
    mmu: {mode: nested, tlb: none}
    reclaim: {paging: {victim: fifo, batch: 1}}
    swap: {size: 128MiB}
    disks: {disk: {latency: 1us, bandwidth: 100GiB/s}}
vms: {guest: {memory: 128MiB, page_table: none, workload: replay}}
workloads: {replay: {phases: [{trace: {file: TRACE, format: guest_physical, epoch_time: 1us}}]}}
tables: [vms, memory, paging, time]
"""
BACKED = "vms.guest.backing=at_start"
seen = st.tuples(st.integers(0, 99), st.booleans())
epochs = st.lists(st.lists(seen, min_size=1, max_size=9), min_size=1, max_size=6)


def run(folder: Path, trace: Path, *changes: str) -> vmcfg.api.Outcome:
    """Run the scenario with this trace and with these changes."""
    path = folder / "replay.yaml"
    path.write_text(SCENARIO.replace("TRACE", trace.name), "utf-8")
    if not (folder / trace.name).exists():
        (folder / trace.name).symlink_to(trace)
    return vmcfg.load(path, list(changes)).run()


def written(folder: Path, told: list[list[tuple[int, bool]]], is_cut_short: bool = False) -> Path:
    (folder / "trace").write_bytes(packed(told, is_cut_short))
    return folder / "trace"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["boot", "sqlite_guest"])
@pytest.mark.parametrize(
    ("victim", "naive"),
    [("fifo", replacement.Fifo), ("lru", replacement.Lru), ("clock", replacement.Clock),
     ("two_list", replacement.TwoList)],
)  # fmt: skip
@pytest.mark.parametrize("pages", [8_192, 16_384])
def test_a_host_pages_as_a_list_of_pages_says(
    name: str, victim: str, naive: type, pages: int, tmp_path: Path
) -> None:
    """What comes again after it has left is a page-in, what found no room a page-out; no page gets lost."""
    records = (read(guest(name)).records >> 2).tolist()
    missed, touched = replacement.misses(naive(), records, pages), len(set(records))
    host = f"hosts.h.reclaim.paging.victim={victim}", f"hosts.h.reclaim.paging.capacity={4 * pages}KiB"
    found = run(tmp_path, DATA / f"{name}.gpa.zst", *host).tables
    paging, memory = found["paging"][0], found["memory"][0]
    assert (missed - touched, missed - pages) == (paging["host_page_ins"], paging["host_page_outs"])
    assert (pages, touched - pages) == (memory["private_pages"], memory["swapped_pages"])


@given(epochs, st.booleans(), st.integers(9, 2000), st.integers(1, 100))
@settings(max_examples=60)
def test_each_record_is_due_when_its_place_in_its_epoch_says(
    tmp_path_factory: pytest.TempPathFactory, told: list[list[tuple[int, bool]]], is_cut_short: bool, cycles: int,
    touches: int,
) -> None:  # fmt: skip
    """Record i of n, of epoch e: e × time + floor(i × time ÷ n), round after round; none is late."""
    folder = tmp_path_factory.mktemp("epochs")
    due = [
        (nth * len(told) + epoch) * cycles + int(Fraction(place * cycles, len(pages)))
        for nth in range(touches)
        for epoch, pages in enumerate(told)
        for place in range(len(pages))
    ]
    trace = "workloads.replay.phases.0.trace"
    changes = f"{trace}.epoch_time={cycles}ns", f"{trace}.repeat=forever", f"run.accesses={touches}", BACKED
    row = run(folder, written(folder, told, is_cut_short), *changes).tables["vms"][0]
    assert due[touches - 1] + 1 == row["time_ns"]


def test_a_schedule_goes_on_within_its_epoch_after_a_warm_up(tmp_path: Path) -> None:
    """Four records in 1000 ns, two in the next 1000. The warm-up's end, at the third, is as the schedule's beginning:

    the third is due at once, the fourth 250 ns later, the fifth 500, the sixth 1000.
    """
    told = [[(page, False) for page in range(4)], [(5, False), (6, True)]]
    row = run(tmp_path, written(tmp_path, told), "run.warmup=2", BACKED).tables["vms"][0]
    assert (4, 1001) == (row["accesses"], row["time_ns"])


def test_a_guest_that_waits_for_the_disk_catches_up(tmp_path: Path) -> None:
    """Each of 40 pages twice, in memory for 20: 40 page-ins of 10 us each, and epochs of 40 records in 100 us.

    Violations of 5 us make the first round last for 200 us and more, page-ins the second for 400 and more. That was due
    from 100 us on. Nothing is dropped, for it is less than a second late.
    """
    told = [[(page, True) for page in range(40)]] * 2
    changes = "hosts.h.reclaim.paging.capacity=80KiB", "hosts.h.disks.disk.latency=10us"
    trace = "workloads.replay.phases.0.trace.epoch_time=100us"
    outcome = run(tmp_path, written(tmp_path, told), *changes, trace)
    assert 40 == outcome.tables["paging"][0]["host_page_ins"]
    assert 600_000 < outcome.tables["vms"][0]["time_ns"] < 800_000
    assert 0 == outcome.tables["time"][0]["dropped_cycles"]


def test_the_pages_of_a_trace_are_those_of_the_guest(tmp_path: Path) -> None:
    """Pages 0 and 4,095 of 16 MiB; 4,096 is not there."""
    run(tmp_path, written(tmp_path, [[(0, True), (4095, False)]]), "vms.guest.memory=16MiB")
    with pytest.raises(RunFailed, match="trace: found page 0x1000, expected a page below 2\\^12"):
        run(tmp_path, written(tmp_path, [[(4096, True)]]), "vms.guest.memory=16MiB")


def test_two_guests_of_a_host_keep_to_their_own_epochs(tmp_path: Path) -> None:
    """Traces lie one behind the other. One has a record in 1 us, then two in 1 us; the other three in 2 us.

    Their last ones are due at 1,500 and at floor(2 × 2,000 ÷ 3) = 1,333 ns, and take 1 ns.
    """
    first, second = [[(1, False)], [(2, False), (3, True)]], [[(7, True), (8, False), (9, False)]]
    (tmp_path / "other").write_bytes(packed(second, True))
    other = "{host: h, memory: 16MiB, page_table: none, backing: at_start, workload: other}"
    text = SCENARIO.replace("workload: replay}}", f"workload: replay, host: h, backing: at_start}}, other: {other}}}")
    replay = "{trace: {file: other, format: guest_physical, epoch_time: 2us}}"
    text = text.replace("epoch_time: 1us}}]}}", f"epoch_time: 1us}}}}]}}, other: {{phases: [{replay}]}}}}")
    path = written(tmp_path, first)
    (tmp_path / "two.yaml").write_text(text.replace("TRACE", path.name), "utf-8")
    outcome = vmcfg.load(tmp_path / "two.yaml", ["hosts.h.cores=2"]).run()
    assert [1501, 1334] == [row["time_ns"] for row in outcome.tables["vms"]]
    assert [3, 3] == [row["accesses"] for row in outcome.tables["vms"]]


def test_a_trace_and_its_epochs_are_told_apart_from_plain_ones() -> None:
    """Ends of epochs are ascending and within the records; other traces have none."""
    data = read(guest("boot"))
    ends = data.ends.tolist()
    assert all(earlier < later for earlier, later in pairwise(ends))
    assert (425, len(data.records)) == (len(ends), ends[-1])
