"""A trace that is not whole and sound is refused: with its file, the place, what was found and what was expected."""

from __future__ import annotations

import pytest
from trace_makers import COMPRESS, champsim, oracle_general, read, records, words

from vmcfg.workload.traces import TraceError

PAIR = records([(0, 0), (1, 1)])
WHOLE = "expected a whole compressed file"
GZ_PAIR = COMPRESS["gz"](PAIR)
CUT = {name: compress(bytes(range(256)) * 64)[:-1] for name, compress in COMPRESS.items()}
LINE = "'I  addr,size', ' L addr,size', ' S addr,size', ' M addr,size' or '== comment'"

FAULTS = {
    "empty": ("records", b"", None, "t: found an empty file, expected at least one record"),
    "no_accesses": ("lackey", b"== 7\n\n", None, "t: found no accesses, expected at least one"),
    "nothing_compressed": ("records", COMPRESS["gz"](b""), None, "t: found no accesses, expected at least one"),
    "odd_length": (
        "records", PAIR + b"\1\0", None, "t: found 10 bytes, expected a multiple of 4, the length of a record"
    ),
    "odd_length_compressed": (
        "records", COMPRESS["zst"](PAIR + b"\1\0"), None,
        "t: record 3: found 2 bytes at the end of the file, expected a record of 4 bytes",
    ),
    "kind_3": (
        "records", PAIR + b"\x07\0\0\0", None,
        "t: record 3: found kind 3 in 0x00000007, expected 0 fetch, 1 load or 2 store",
    ),
    "index_outside_vpn": (
        "records", records([(0, 1), (2, 1)]), words([5, 6]),
        "t: record 2: found page index 2, expected one of the 2 pages of the vpn file",
    ),
    "vpn_too_high": (
        "records", PAIR, words([5, 1 << 45]), "t.vpn: record 2: found page 0x200000000000, expected a page below 2^45"
    ),
    "vpn_highest_bit": (
        "records", PAIR, words([1 << 63, 5]),
        "t.vpn: record 1: found page 0x8000000000000000, expected a page below 2^45",
    ),
    "vpn_odd_length": (
        "records", PAIR, words([5]) + b"\0", "t.vpn: found 9 bytes, expected a multiple of 8, the length of a record"
    ),
    "vpn_empty": (
        "records", PAIR, COMPRESS["gz"](b""), "t.vpn: found no page numbers, expected one for each page of the trace"
    ),
    "vpn_for_text": (
        "lackey", b" L 0,1\n", words([5]),
        "t: found a vpn file for the format lackey, expected one with the format records only",
    ),
    "truncated_gz": (
        "records", CUT["gz"], None,
        f"t: near byte {len(CUT['gz'])}: found the end of the file inside a gz stream, {WHOLE}",
    ),
    "truncated_xz": (
        "records", CUT["xz"], None,
        f"t: near byte {len(CUT['xz'])}: found the end of the file inside a xz stream, {WHOLE}",
    ),
    "truncated_zst": (
        "records", CUT["zst"], None,
        f"t: near byte {len(CUT['zst'])}: found the end of the file inside a zst stream, {WHOLE}",
    ),
    "magic_only": (
        "records", b"\x28\xb5\x2f\xfd", None,
        "t: near byte 4: found the end of the file inside a zst stream, expected a whole compressed file",
    ),
    "bad_checksum": (
        "records", GZ_PAIR[:-8] + bytes(8), None,
        "t: near byte 0: found corrupt compressed data (Error -3 while decompressing data: incorrect data check), "
        + WHOLE,
    ),
    "rubbish_after_the_stream": (
        "records", GZ_PAIR + b"rubbish", None,
        f"t: near byte {len(GZ_PAIR)}: found corrupt compressed data "
        "(Error -3 while decompressing data: incorrect header check), "
        + WHOLE,
    ),
    "misnamed": (
        "records", PAIR, None,
        "t.zst: found plain contents (first bytes 00 00 00 00 05 00), expected zst as the name says",
    ),
    "zip": ("records", b"PK\3\4" + PAIR, None, "t: found a zip archive, expected plain, gz, xz or zst"),
    "unknown_letter": ("lackey", b" L 0,1\n X 0,1\n", None, f"t: line 2: found ' X 0,1', expected {LINE}"),
    "one_blank_after_I": ("lackey", b"I 0400,1\n", None, f"t: line 1: found 'I 0400,1', expected {LINE}"),
    "letter_only": ("lackey", b" L\n", None, f"t: line 1: found ' L', expected {LINE}"),
    "program_output": (
        "lackey", b"==1==\n" + b"hello \x1b[31m" * 9 + b"\n", None,
        "t: line 2: found '" + r"hello \x1b[31m" * 5 + f"hello'…, expected {LINE}",
    ),
    "not_hexadecimal": (
        "lackey", b" L 00g0,1\n", None, "t: line 1: found ' L 00g0,1', expected a hexadecimal address and a comma"
    ),
    "no_address": ("lackey", b" L ,1\n", None, "t: line 1: found ' L ,1', expected a hexadecimal address and a comma"),
    "negative_address": (
        "lackey", b" L -1,1\n", None, "t: line 1: found ' L -1,1', expected a hexadecimal address and a comma"
    ),
    "no_size": (
        "lackey", b" L 10\n", None, "t: line 1: found ' L 10', expected a hexadecimal address and a comma"
    ),
    "size_missing": (
        "lackey", b" L 10,\n", None,
        "t: line 1: found ' L 10,', expected a decimal size from 1 to 65536 and the line's end",
    ),
    "size_0": (
        "lackey", b" L 10,0\n", None,
        "t: line 1: found ' L 10,0', expected a decimal size from 1 to 65536 and the line's end",
    ),
    "size_too_large": (
        "lackey", b" L 10,65537\n", None,
        "t: line 1: found ' L 10,65537', expected a decimal size from 1 to 65536 and the line's end",
    ),
    "size_beyond_64_bits": (
        "lackey", b" L 10,18446744073709551617\n", None,
        "t: line 1: found ' L 10,18446744073709551617', expected a decimal size from 1 to 65536 and the line's end",
    ),
    "size_negative": (
        "lackey", b" L 10,-8\n", None,
        "t: line 1: found ' L 10,-8', expected a decimal size from 1 to 65536 and the line's end",
    ),
    "more_after_the_size": (
        "lackey", b" L 10,8 \n", None,
        "t: line 1: found ' L 10,8 ', expected a decimal size from 1 to 65536 and the line's end",
    ),
    "address_too_high": (
        "lackey", b" L 200000000000000,1\n", None,
        "t: line 1: found ' L 200000000000000,1', expected an access below address 2^57",
    ),
    "access_runs_too_high": (
        "lackey", b" S 1ffffffffffffff,2\n", None,
        "t: line 1: found ' S 1ffffffffffffff,2', expected an access below address 2^57",
    ),
    "address_beyond_64_bits": (
        "lackey", b" L 10000000000000000000000000000000a,1\n", None,
        "t: line 1: found ' L 10000000000000000000000000000000a,1', expected an access below address 2^57",
    ),
    "cut_line": (
        "lackey", b" L 10,8\n L 10,8", None,
        "t: line 2: found the end of the file inside the line ' L 10,8', expected a line end",
    ),
    "no_lines": (
        "lackey", b" L 0,1\n" + bytes(1 << 21), None,
        "t: line 2: found 65536 bytes and more without a line end, expected lines of text",
    ),
    "u64_too_high": (
        "u64", words([5, (1 << 45) + 1]), None, "t: record 2: found page 0x200000000001, expected a page below 2^45"
    ),
    "u64_odd_length": (
        "u64", COMPRESS["xz"](words([5]) + b"abc"), None,
        "t: record 2: found 3 bytes at the end of the file, expected a record of 8 bytes",
    ),
    "oracle_general_too_high": (
        "oracle_general", oracle_general([1, 1 << 63]), None,
        "t: record 2: found page 0x8000000000000000, expected a page below 2^45",
    ),
    "oracle_general_27_bytes": (
        "oracle_general", bytes(27), None, "t: found 27 bytes, expected a multiple of 24, the length of a record"
    ),
    "champsim_too_high": (
        "champsim", champsim([(1, (0, 0), (0, 0, 0, 0)), (1, (0, 0), (0, 0, 0xFFFFFFFF81753000, 0))]), None,
        "t: record 2: found page 0xffffffff81753, expected a page below 2^45",
    ),
    "champsim_odd_length": (
        "champsim", COMPRESS["gz"](bytes(65)), None,
        "t: record 2: found 1 bytes at the end of the file, expected a record of 64 bytes",
    ),
    "champsim_all_unused": ("champsim", bytes(128), None, "t: found no accesses, expected at least one"),
    "csv_header_only": ("csv", b"page\n", None, "t: found no accesses, expected at least one"),
    "csv_no_header": (
        "csv", b"12\n", None,
        "t: line 1: found '12', expected a header with one column page, and at most one column rw",
    ),
    "csv_page_twice": (
        "csv", b"page,page\n1,2\n", None,
        "t: line 1: found 'page,page', expected a header with one column page, and at most one column rw",
    ),
    "csv_of_several_machines": (
        "csv", b"vm,page\n1,2\n", None,
        "t: line 1: found a column vm, expected the accesses of one machine: one file for each",
    ),
    "csv_too_few_fields": (
        "csv", b"page,rw\n1,r\n2\n", None, "t: line 3: found '2', expected as many fields as the header has columns"
    ),
    "csv_too_many_fields": (
        "csv", b"page,rw\n1,r,\n", None, "t: line 2: found '1,r,', expected as many fields as the header has columns"
    ),
    "csv_no_number": (
        "csv", b"page\n1\n1a\n", None,
        "t: line 3: found '1a', expected a page number, decimal or hexadecimal after 0x",
    ),
    "csv_negative": (
        "csv", b"page\n-1\n", None, "t: line 2: found '-1', expected a page number, decimal or hexadecimal after 0x"
    ),
    "csv_no_page": (
        "csv", b"rw,page\nr,\n", None, "t: line 2: found 'r,', expected a page number, decimal or hexadecimal after 0x"
    ),
    "csv_prefix_only": (
        "csv", b"page\n0x\n", None, "t: line 2: found '0x', expected a page number, decimal or hexadecimal after 0x"
    ),
    "csv_blank_line": (
        "csv", b"page\n1\n\n", None, "t: line 3: found '', expected a page number, decimal or hexadecimal after 0x"
    ),
    "csv_too_high": (
        "csv", b"page\n35184372088832\n", None, "t: line 2: found '35184372088832', expected a page below 2^45"
    ),
    "csv_beyond_64_bits": (
        "csv", b"page\n36893488147419103232\n", None,
        "t: line 2: found '36893488147419103232', expected a page below 2^45",
    ),
    "csv_unknown_kind": (
        "csv", b"page,rw\n1,x\n", None, "t: line 2: found '1,x', expected r, w or f in the column rw"
    ),
    "csv_kind_too_long": (
        "csv", b"page,rw\n1,rw\n", None, "t: line 2: found '1,rw', expected r, w or f in the column rw"
    ),
    "csv_cut_line": (
        "csv", b"page\n1\n2", None, "t: line 3: found the end of the file inside the line '2', expected a line end"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(FAULTS))
def test_a_faulty_trace_is_refused_with_the_place_and_the_reason(case):
    """The whole message is the expectation."""
    fmt, contents, vpn, message = FAULTS[case]
    with pytest.raises(TraceError) as caught:
        read(fmt, contents, vpn, "t.zst" if case == "misnamed" else "t")
    assert message == str(caught.value)
    assert caught.value.code == "bad_trace"
    assert caught.value.exit_code == 4
