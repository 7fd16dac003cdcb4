"""Every reader returns what an obvious loop returns, whatever the compression, up to the highest address."""

from __future__ import annotations

import hashlib
import lzma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_makers import (
    COMPRESS,
    DATA,
    accesses_of,
    lackey_line,
    lru_misses,
    naive_interning,
    naive_lackey,
    read,
    records,
    shipped,
    words,
)

from vmcfg.workload.traces import interning
from vmcfg.workload.traces.interning import Interner

ADDRESS_END = 1 << 57
kinds = st.integers(0, 2)
some_pages = st.one_of(st.integers(0, 40), st.integers(0, (1 << 30) - 1))
accesses = st.lists(st.tuples(some_pages, kinds), min_size=1, max_size=60)
compressions = st.sampled_from(sorted(COMPRESS))
addresses = st.one_of(st.integers(0, 1 << 16), st.integers(0, ADDRESS_END - 1))
lackey_lines = st.tuples(st.sampled_from("ILSM"), addresses, st.one_of(st.integers(1, 64), st.integers(1, 1 << 16)))


@given(accesses, compressions)
@settings(max_examples=60, deadline=None)
def test_records_come_back_as_they_were_written(wanted, compression):
    """Pages are virtual page numbers as they are when there is no file of page numbers."""
    assert wanted == accesses_of(read("records", COMPRESS[compression](records(wanted))))


@given(accesses)
@settings(max_examples=60, deadline=None)
def test_pages_are_numbered_in_order_of_first_appearance(wanted):
    """The records and pages are those of a dictionary that numbers each page when it first sees it."""
    data = read("records", records(wanted))
    assert naive_interning(wanted) == (data.records.tolist(), data.vpns.tolist())
    assert (np.uint32, np.int64) == (data.records.dtype, data.vpns.dtype)


@given(st.lists(st.integers(0, (1 << 45) - 1), min_size=1, max_size=9), st.data())
@settings(max_examples=60, deadline=None)
def test_the_vpn_file_gives_each_index_its_page(vpns, data):
    """Two indices with the same page number are the same page."""
    indexed = data.draw(st.lists(st.tuples(st.integers(0, len(vpns) - 1), kinds), min_size=1, max_size=40))
    wanted = [(vpns[index], kind) for index, kind in indexed]
    found = read("records", records(indexed), COMPRESS["gz"](words(vpns)))
    assert naive_interning(wanted) == (found.records.tolist(), found.vpns.tolist())


@given(st.lists(lackey_lines, min_size=1, max_size=40), compressions)
@settings(max_examples=60, deadline=None)
def test_lackey_text_reads_as_the_obvious_loop_reads_it(lines, compression):
    """Modifies, accesses across pages, short and long addresses."""
    text = "".join(lackey_line(letter, min(address, ADDRESS_END - size), size) for letter, address, size in lines)
    assert naive_lackey(text) == accesses_of(read("lackey", COMPRESS[compression](text.encode())))


def test_a_modify_across_pages_loads_both_then_stores_both():
    """8 bytes at 0x1ffc: 4 in page 1, 4 in page 2; low page first."""
    assert [(1, 1), (2, 1), (1, 2), (2, 2)] == accesses_of(read("lackey", b" M 00001ffc,8\n"))


def test_comments_blank_lines_upper_case_and_carriage_returns_are_text_as_usual():
    """What valgrind or an editor puts around the accesses changes nothing."""
    text = b"==7== Lackey\r\n\n\r\n==\nI  0400A000,4\r\n"
    assert [(0x400A, 0)] == accesses_of(read("lackey", text))


@pytest.mark.parametrize("address", [(1 << 32) + 5, (1 << 48) + 4096, ADDRESS_END - 8])
def test_addresses_of_all_64_bit_machines_are_read(address):
    """Pages above 2^32 and 2^48, up to the last 8 bytes that 5 levels can map."""
    assert [(address >> 12, 2)] == accesses_of(read("lackey", lackey_line("S", address, 8).encode()))


def test_counts_and_digest_are_of_the_whole_input():
    """The digest covers the bytes on disk of the trace, then those of the file of page numbers."""
    trace, vpn = COMPRESS["xz"](records([(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (1, 2)])), words([7, 9])
    data = read("records", trace, vpn)
    assert (1, 2, 3) == (data.fetches, data.reads, data.writes)
    assert hashlib.sha256(trace + vpn).hexdigest() == data.sha256
    assert data.kind == "full"


def test_concatenated_streams_and_padding_are_one_trace():
    """gz, xz and zst files may be joined end to end, with zero bytes between them."""
    for compress in (COMPRESS["gz"], COMPRESS["xz"], COMPRESS["zst"]):
        joined = compress(records([(1, 1)])) + bytes(8) + compress(records([(2, 2)])) + bytes(4)
        assert [(1, 1), (2, 2)] == accesses_of(read("records", joined))


def test_records_across_block_borders_stay_whole():
    """Over three blocks of a megabyte, compressed in crumbs, nothing is lost or read twice."""
    pages = np.random.default_rng(1).integers(0, 1 << 30, 800_001).astype(np.uint32)
    data = read("records", COMPRESS["gz"]((pages << 2 | 1).tobytes()))
    assert np.array_equal(pages, data.vpns[data.records >> 2])
    assert len(pages) == data.reads


def test_lines_across_block_borders_stay_whole():
    """A megabyte and a half of lines of uneven length."""
    text = "".join(lackey_line("LS"[i % 2], i * 4097, 1 + i % 9) for i in range(110_000))
    assert naive_lackey(text) == accesses_of(read("lackey", text.encode()))


def test_interning_grows_from_one_page_to_many():
    """The table is rebuilt several times and forgets no page."""
    interner = Interner()
    pages = np.arange(50_000, dtype=np.int64)[::-1] << 20
    for part in np.array_split(np.concatenate([pages, pages]), 37):
        interner.add(part, np.ones(len(part), np.uint8))
    found, vpns = interner.take()
    assert np.array_equal(pages, vpns)
    assert np.array_equal(np.tile(np.arange(50_000), 2), found >> 2)


def test_more_pages_than_a_record_can_number_are_refused(monkeypatch):
    """The limit is 2^30; here it is made 2."""
    monkeypatch.setattr("vmcfg.workload.traces.MAX_PAGES", 2)
    assert interning.MAX_PAGES == 1 << 30
    assert 2 == len(read("records", records([(5, 1), (6, 1), (5, 1)])).vpns)
    with pytest.raises(Exception, match="t: record 3: found more distinct pages, expected at most 2"):
        read("records", records([(5, 1), (6, 1), (7, 1)]))


def test_the_real_traces_have_the_published_sizes():
    """sort: 6,923,835 records of 292 pages; ls: 2,000,000 lines, of which 3,977 modify."""
    sort = shipped("sort.u32.zst", "records", "sort.vpn.gz")
    assert (6_923_835, 292) == (len(sort.records), len(sort.vpns))
    assert len(sort.records) == sort.reads + sort.writes + sort.fetches
    ls = shipped("ls.lackey.xz", "lackey")
    assert (2_005_479, 321) == (len(ls.records), len(ls.vpns))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "length", "pages", "misses"), [("sort", 6_923_835, 292, 871), ("sqlite", 13_975_779, 622, 70_592)]
)
def test_an_lru_memory_of_64_pages_misses_as_often_as_published(program, length, pages, misses):
    """Runs of one page are collapsed first: a repeated page cannot miss."""
    data = shipped(f"{program}.u32.zst", "records", f"{program}.vpn.gz")
    indices = data.records >> 2
    changes = np.flatnonzero(np.diff(indices, prepend=indices[0] + 1))
    assert (length, pages) == (len(indices), len(data.vpns))
    assert misses == lru_misses(indices[changes].tolist(), 64)


@pytest.mark.slow
def test_the_real_lackey_trace_reads_as_the_obvious_loop_reads_it():
    """Two million lines, the last one too."""
    data = shipped("ls.lackey.xz", "lackey")
    wanted = naive_lackey(lzma.decompress((DATA / "ls.lackey.xz").read_bytes()).decode())
    assert wanted == accesses_of(data)
