"""Traces of other tools and plain page lists, each against an obvious loop."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from trace_makers import (
    COMPRESS,
    accesses_of,
    champsim,
    naive_champsim,
    naive_csv,
    oracle_general,
    read,
    words,
)

pages = st.one_of(st.integers(0, 40), st.integers(0, (1 << 45) - 1))
addresses = st.one_of(st.just(0), st.integers(0, 1 << 20), st.integers(0, (1 << 57) - 1))
instructions = st.tuples(addresses, st.tuples(*[addresses] * 2), st.tuples(*[addresses] * 4))
compressions = st.sampled_from(sorted(COMPRESS))
fields = st.tuples(pages, st.sampled_from("rwf"), st.booleans())


@given(st.lists(pages, min_size=1, max_size=40), compressions)
@settings(max_examples=40, deadline=None)
def test_page_numbers_are_loads_in_order(wanted, compression):
    """u64, little-endian."""
    assert [(page, 1) for page in wanted] == accesses_of(read("u64", COMPRESS[compression](words(wanted))))


@given(st.lists(pages, min_size=1, max_size=40), compressions)
@settings(max_examples=40, deadline=None)
def test_requests_of_libcachesim_are_loads_of_the_page_that_the_id_names(wanted, compression):
    """Records of 24 bytes; time, size and next access play no part."""
    found = read("oracle_general", COMPRESS[compression](oracle_general(wanted)))
    assert [(page, 1) for page in wanted] == accesses_of(found)


@given(st.lists(instructions, min_size=1, max_size=40), compressions)
@settings(max_examples=60, deadline=None)
def test_instructions_of_champsim_fetch_then_load_then_store(wanted, compression):
    """Addresses of zero are unused; the rest comes in the order in which an instruction needs it."""
    contents = champsim([*wanted, (1, (0, 0), (0, 0, 0, 0))])
    assert naive_champsim(contents) == accesses_of(read("champsim", COMPRESS[compression](contents)))


def test_one_instruction_reads_as_the_header_file_says():
    """Pointer 0x1000; destination memory before source memory in the record, after it in time."""
    contents = champsim([(0x1000, (0x2000, 0), (0, 0x3000, 0x4000, 0))])
    assert len(contents) == 64
    assert [(1, 0), (3, 1), (4, 1), (2, 2)] == accesses_of(read("champsim", contents))


@given(st.lists(fields, min_size=1, max_size=40), st.permutations(["page", "rw", "time"]), compressions)
@settings(max_examples=60, deadline=None)
def test_columns_may_stand_in_any_order(rows, columns, compression):
    """Decimal and hexadecimal pages, and a column that is passed over."""
    lines = [",".join(columns)]
    for page, kind, is_hex in rows:
        values = {"page": hex(page) if is_hex else str(page), "rw": kind, "time": "0.5 s"}
        lines.append(",".join(values[column] for column in columns))
    text = "".join(line + "\n" for line in lines)
    assert naive_csv(text) == accesses_of(read("csv", COMPRESS[compression](text.encode())))


def test_pages_alone_are_loads():
    """A byte-order mark and carriage returns are what spreadsheets add."""
    assert [(7, 1), (0xAB, 1)] == accesses_of(read("csv", b"\xef\xbb\xbfpage\r\n7\r\n0xaB\r\n"))


def test_a_list_of_many_blocks_is_read_whole():
    """Two megabytes, and more accesses than the kernel takes at a time."""
    text = "page,rw\n" + "".join(f"{i * i},{'rw'[i % 2]}\n" for i in range(150_000))
    assert naive_csv(text) == accesses_of(read("csv", text.encode()))
