"""Random workloads: traces, regions, phases and their patterns, and how long a run lasts."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any, NamedTuple

from attrs import evolve
from hypothesis import strategies as st
from oracle import tiny

from vmcfg.scenario.spec import PAGE_BYTES, Mixture, Part, Pattern, Phase, Rate, Region, Run, Stride, Trace

# Where regions begin: at 0, at the usual place, and a little before the ends of 2 MiB, 1 GiB, 512 GiB and of all.
BASES = (0, 0x400, 0x800 - 9, (1 << 18) - 7, (1 << 27) - 5, (1 << 27) + 0x5000, (1 << 36) - 3100)

Records = list[tuple[int, int]]  # (vpn, kind)


class WrittenTrace(NamedTuple):
    """A trace whose files are there, with what is in them."""

    spec: Trace
    records: Records

    @property
    def file(self) -> str:
        return self.spec.file


def write_records(folder: Path, records: Records) -> Trace:
    """Write a trace with its file of page numbers; the name tells what is in it."""
    vpns = sorted({vpn for vpn, _ in records}, reverse=True)
    packed = b"".join(struct.pack("<I", vpns.index(vpn) << 2 | kind) for vpn, kind in records)
    pages = b"".join(struct.pack("<Q", vpn) for vpn in vpns)
    name = hashlib.sha256(packed + pages).hexdigest()[:16]
    (folder / f"{name}.u32").write_bytes(packed)
    (folder / f"{name}.vpn").write_bytes(pages)
    return Trace(f"{name}.u32", folder / f"{name}.u32", "records", f"{name}.vpn", folder / f"{name}.vpn")


@st.composite
def traces_in(draw: Any, folder: Path) -> WrittenTrace:
    """Up to 120 accesses to up to 40 pages, written into a folder."""
    first = draw(st.sampled_from(BASES))
    pages = draw(st.integers(1, 40))
    step = draw(st.sampled_from((1, 3, 512)))
    numbers = st.integers(0, pages - 1).map(lambda page: min(first + page * step, (1 << 36) - 1))
    records = draw(st.lists(st.tuples(numbers, st.integers(0, 2)), min_size=1, max_size=120))
    return WrittenTrace(write_records(folder, records), records)


@st.composite
def some_regions(draw: Any) -> tuple[Region, ...]:
    """One to three of them, of which none overlaps another."""
    bases = draw(st.lists(st.sampled_from(BASES), min_size=1, max_size=3, unique=True))
    sizes = st.one_of(st.integers(1, 60), st.sampled_from((1, 9, 64, 600, 600)))
    regions = [Region(f"r{n}", base, draw(sizes)) for n, base in enumerate(bases)]
    if bases[-1] in (BASES[1], BASES[-1]) and draw(st.booleans()):
        regions[-1] = Region("large", bases[-1], 3000)  # more ranks than zipf's head, more than one leaf table
    return _without_overlaps([evolve(region, is_shared=draw(st.integers(0, 2)) == 0) for region in regions])


def _without_overlaps(regions: list[Region]) -> tuple[Region, ...]:
    kept: list[Region] = []
    for region in regions:
        taken = {vpn for other in kept for vpn in range(other.base_vpn, other.base_vpn + other.pages)}
        if taken.isdisjoint(range(region.base_vpn, region.base_vpn + region.pages)):
            kept.append(region)
    return tuple(kept)


@st.composite
def some_phases(
    draw: Any, hz: int, regions: tuple[Region, ...], traces: list[Trace], is_bounded: bool
) -> tuple[Phase, ...]:
    """One to three; the last may be endless where the run is not."""
    count = draw(st.integers(1, 3))
    return tuple(draw(_phase(hz, regions, traces, is_bounded and number == count - 1)) for number in range(count))


@st.composite
def _phase(draw: Any, hz: int, regions: tuple[Region, ...], traces: list[Trace], may_be_endless: bool) -> Phase:
    ends = draw(st.sampled_from(("accesses", "accesses", "duration", "both", "none")))
    trace = draw(st.sampled_from(traces)) if traces and draw(st.booleans()) else None
    repeat = draw(st.sampled_from((1, 2, 7, None))) if trace else None
    if ends == "none" and not may_be_endless and repeat is None:
        ends = "accesses"
    limits: dict[str, Any] = {}
    if ends in ("accesses", "both"):
        limits["accesses"] = draw(st.integers(1, 150))
    if ends in ("duration", "both"):
        limits["duration_ns"] = nanoseconds(draw(st.integers(1, 3000)), hz)
    plain = tiny.phase(
        accesses_per_touch=draw(st.sampled_from((1, 1, 2, 5))),
        write_ppm=0 if trace else draw(st.sampled_from((0, 1, 50_000, 300_000, 1_000_000))),
        **limits,
    )
    return evolve(
        plain,
        pattern=None if trace else draw(_patterns(regions)),
        trace=evolve(trace, repeat=repeat) if trace else None,
        rate=draw(st.none() | _rates(hz)),
    )


@st.composite
def _patterns(draw: Any, regions: tuple[Region, ...]) -> Pattern:
    """Any pattern, in any of the regions; a mixture's parts may share them."""
    if draw(st.integers(0, 3)):
        return draw(_drawn(regions))
    parts = draw(st.lists(st.builds(Part, st.sampled_from((1, 1, 2, 1000)), _drawn(regions)), min_size=1, max_size=4))
    return Mixture("mixture", -1, parts=tuple(parts))


@st.composite
def _drawn(draw: Any, regions: tuple[Region, ...]) -> Pattern:
    region = draw(st.integers(0, len(regions) - 1))
    pages = regions[region].pages
    kind = draw(st.sampled_from(("uniform", "sequential", "zipf", "stride", "pointer_chase", "hot_cold")))
    order = draw(st.sampled_from(("contiguous", "scattered")))
    if kind == "zipf":
        return Pattern(kind, region, order, alpha=draw(st.sampled_from(("0.5", "0.99", "1.2"))))
    if kind == "stride":
        longest = pages * PAGE_BYTES - 1
        stride = draw(st.sampled_from((1, 64, longest)) | st.integers(1, longest))
        return Stride(kind, region, order, stride_bytes=stride)
    if kind == "hot_cold" and pages > 1:
        hot = draw(st.integers(1, pages - 1))
        share = draw(st.sampled_from((0, 900_000, 1_000_000)))
        return Pattern(kind, region, order, hot_pages=hot, hot_share_ppm=share)
    return Pattern("uniform" if kind == "hot_cold" else kind, region)


@st.composite
def _rates(draw: Any, hz: int) -> Rate:
    """Touches some cycles apart, in fractions of a cycle; touches cost more than that in some machines."""
    seconds = draw(st.sampled_from((1, 3, 60)))
    return Rate(max(1, hz * seconds // draw(st.integers(1, 400))), seconds)


@st.composite
def some_runs(draw: Any, hz: int) -> Run:
    """How long it lasts and warms up, in slices and epochs of some cycles."""
    length = draw(st.sampled_from(("all", "all", "accesses", "duration")))
    warm_up = draw(st.sampled_from(("none", "none", "touches", "time")))
    slice_cycles = draw(st.integers(30, 2000))
    changes: dict[str, Any] = {
        "slice_ns": nanoseconds(slice_cycles, hz),
        "epoch_ns": nanoseconds(slice_cycles * draw(st.integers(2, 40)) // 2, hz),
    }
    if length == "accesses":
        changes["accesses"] = draw(st.integers(1, 200))
    if length == "duration":
        changes["duration_ns"] = nanoseconds(draw(st.integers(1, 20_000)), hz)
    if warm_up == "touches":
        changes["warmup_touches"] = draw(st.integers(1, 100))
    if warm_up == "time":
        changes["warmup_ns"] = nanoseconds(draw(st.integers(1, 10_000)), hz)
    return tiny.timing(**changes)


def nanoseconds(cycles: int, hz: int) -> int:
    """Return a time that is so many cycles long, or one more where they are longer than a nanosecond."""
    return -(-cycles * 1_000_000_000 // hz)
