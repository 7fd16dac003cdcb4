"""Whatever bytes a file holds, a reader takes it whole or refuses it: no other exception, no flood of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_makers import COMPRESS, champsim, lackey_line, oracle_general, read, records, words

import vmcfg.workload.traces as traces
from vmcfg.workload.traces.compression import decompress

PATHS = os.pathsep.join([str(Path(traces.__file__).parents[3]), str(Path(__file__).parent)])
TEXT = "".join(lackey_line("ILSM"[i % 4], (1 << 48) + i * 1000, 8) for i in range(40))
PAGES = list(range(50, 0, -1))
SOUND = {
    "lackey": TEXT.encode(),
    "records": records((page, page % 3) for page in PAGES),
    "oracle_general": oracle_general(PAGES),
    "champsim": champsim((4096 * page, (0, 5000 * page), (page, 0, 0, 1 << 50)) for page in PAGES),
    "u64": words(PAGES),
    "csv": ("page,rw\n" + "".join(f"{page:#x},{'rwf'[page % 3]}\n" for page in PAGES)).encode(),
    "guest_physical": b"".join((page << 1 | page % 2).to_bytes(4, "little") for page in PAGES) + b"\xff" * 4,
}


def whole_or_refused(fmt, contents, vpn=None):
    """Read, and check that what comes back is consistent."""
    try:
        data = read(fmt, contents, vpn)
    except traces.TraceError as error:
        assert str(error).startswith("t")
        assert "\n" not in str(error)
        return
    assert len(data.records) == data.reads + data.writes + data.fetches > 0
    assert int((data.records >> 2).max()) + 1 == len(data.vpns)


@given(st.sampled_from(sorted(SOUND)), st.binary(max_size=300))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(fmt, contents):
    """Nothing but a TraceError leaves the readers."""
    whole_or_refused(fmt, contents)


@given(st.sampled_from(sorted(SOUND)), st.sampled_from(sorted(COMPRESS)), st.data())
@settings(max_examples=300, deadline=None)
def test_mutated_traces_are_read_or_refused(fmt, compression, data):
    """A sound file, compressed or not, with a stretch of bytes replaced or cut out."""
    contents = COMPRESS[compression](SOUND[fmt])
    start = data.draw(st.integers(0, len(contents)))
    end = data.draw(st.integers(start, min(len(contents), start + 20)))
    whole_or_refused(fmt, contents[:start] + data.draw(st.binary(max_size=20)) + contents[end:])


@pytest.mark.parametrize("compression", ["gz", "xz", "zst"])
def test_a_truncated_stream_is_never_taken_for_a_short_one(compression):
    """Cut at every byte, also where a block of the stream happens to end."""
    contents = COMPRESS[compression](SOUND["u64"])
    for length in range(7, len(contents)):
        with pytest.raises(traces.TraceError, match="inside a"):
            read("u64", contents[:length])


def test_frames_that_zst_skips_are_skipped():
    """Tools put their own data into such frames."""
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    data = read("u64", COMPRESS["zst"](SOUND["u64"]) + skippable + COMPRESS["zst"](SOUND["u64"]))
    assert 2 * len(PAGES) == data.reads


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_a_bomb_comes_out_in_pieces(compression):
    """96 MiB of zeros, a few kilobytes compressed, never stand in memory at once."""
    contents = COMPRESS[compression](bytes(96 << 20))
    pieces = [len(piece) for piece in decompress([contents], compression)]
    assert 96 << 20 == sum(pieces)
    assert max(pieces) <= 33 << 20


def test_a_window_too_large_is_refused():
    """A zst header may ask for gigabytes before the first byte is out."""
    parameters = zstandard.ZstdCompressionParameters(window_log=30)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    contents = compressor.compress(SOUND["u64"]) + compressor.flush()
    with pytest.raises(traces.TraceError, match="corrupt compressed data"):
        read("u64", contents)


@pytest.mark.parametrize("fmt", sorted(SOUND))
def test_compiled_and_plain_readers_are_the_same(fmt):
    """The kernels that parse and intern, run as Python."""
    code = (
        f"import test_trace_hostile as t; d = t.read({fmt!r}, t.SOUND[{fmt!r}]);"
        "print(d.records.tolist(), d.vpns.tolist())"
    )
    environment = {**os.environ, "VMCFG_KERNELS": "plain", "PYTHONWARNINGS": "error", "PYTHONPATH": PATHS}
    plain = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    data = read(fmt, SOUND[fmt])
    assert plain.stdout.strip() == f"{data.records.tolist()} {data.vpns.tolist()}"
