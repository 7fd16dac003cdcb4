"""trace-info: what a trace holds, before anybody writes a scenario around it."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from vmcfg.cli import traces
from vmcfg.engine.work import KINDS
from vmcfg.hardware.assoc import POLICIES
from vmcfg.plan.bounds import MOST_PAGES
from vmcfg.scenario import schema
from vmcfg.workload.traces import FORMATS, SETS

Command = Callable[..., tuple[int, str, str]]
DATA = Path(__file__).parents[2] / "scenarios" / "data"


def test_a_shipped_trace_is_what_its_readme_says(vmcfg: Command) -> None:
    """292 pages, 6,923,835 records; the format is known by the name."""
    code, out, err = vmcfg("trace-info", DATA / "sort.u32.zst", "--vpn", DATA / "sort.vpn.gz")
    assert (0, "") == (code, err)
    lines = dict(line.split(maxsplit=1) for line in out.splitlines())
    names = "file format kind records pages reads writes fetches addresses sha256"
    assert names == " ".join(lines)
    assert ("records, by its name", "full", "6923835", "292") == tuple(
        lines[name] for name in ("format", "kind", "records", "pages")
    )
    assert ("2107426", "1322427", "3493982") == tuple(lines[name] for name in ("reads", "writes", "fetches"))


@pytest.mark.parametrize(
    ("name", "contents", "expected"),
    [
        ("t.lackey", b" L 1000,4\n", "lackey, by its name"),
        ("t.CSV.gz", gzip.compress(b"page\n7\n", mtime=0), "csv, by its name"),
        ("t.oracleGeneral.bin", struct.pack("<IQIq", 0, 7, 1, -1), "oracle_general, by its name"),
        ("t.champsimtrace", bytes([1, 16]) + bytes(62), "champsim, by its name"),
        ("t.u64", struct.pack("<Q", 7), "u64, by its name"),
        ("t", b"==7== Lackey\n\nI  1000,4\n", "lackey, by how it begins"),
        ("t.txt", b"\xef\xbb\xbftime,page,rw\r\n0,7,w\r\n", "csv, by how it begins"),
        ("t.gz", gzip.compress(b" M 1ffe,4\n", mtime=0), "lackey, by how it begins"),
    ],
)
def test_a_format_is_known_by_name_or_beginning(
    vmcfg: Command, tmp_path: Path, name: str, contents: bytes, expected: str
) -> None:
    """The name decides; compressed text is looked into."""
    (tmp_path / name).write_bytes(contents)
    code, out, _ = vmcfg("trace-info", tmp_path / name)
    assert (0, f"format     {expected}") == (code, out.splitlines()[1])


def test_addresses_are_those_of_whole_pages(vmcfg: Command, tmp_path: Path) -> None:
    """From the first byte of the lowest page to the last of the highest."""
    (tmp_path / "t.csv").write_text("page,rw\n0x10,w\n3,r\n")
    out = vmcfg("trace-info", tmp_path / "t.csv")[1]
    assert "addresses  0x3000 to 0x10fff" in out.splitlines()


def test_what_tells_no_format_needs_one(vmcfg: Command, tmp_path: Path) -> None:
    """Records of different formats look alike; exit code 2."""
    (tmp_path / "t.bin").write_bytes(bytes(range(192)))
    code, out, err = vmcfg("trace-info", tmp_path / "t.bin")
    assert (2, "", True) == (code, out, err.endswith(f"expected --format {'|'.join(traces.FORMATS)}\n"))
    (tmp_path / "t.bin").write_bytes(struct.pack("<3Q", 1, 2, 1))
    assert "\npages      2\n" in vmcfg("trace-info", tmp_path / "t.bin", "--format", "u64")[1]


@pytest.mark.parametrize(
    ("contents", "options", "expected"),
    [
        (None, [], "found no such file, expected a file that can be read"),
        (b"", [], "found an empty file, expected at least one record"),
        (b" L 1000,4", [], "line 1: found the end of the file inside the line ' L 1000,4', expected a line end"),
        (b" L 1000,4\n", ["--vpn", "nowhere"], "nowhere: found no such file, expected a file that can be read"),
        (b" L 1000,4\n", ["--limit", "4KiB"], "found more records than fit into 4096 bytes"),
    ],
)
def test_a_trace_that_cannot_be_used_is_a_failed_run(
    vmcfg: Command, tmp_path: Path, contents: bytes | None, options: list[str], expected: str
) -> None:
    """The same words as a run would say; exit code 4."""
    path = tmp_path / "t.lackey"
    if contents is not None:
        path.write_bytes(contents)
    fmt = ["--format", "records"] if "--vpn" in options else []
    code, out, err = vmcfg("trace-info", path, *fmt, *options)
    assert (4, "", True) == (code, out, expected in err)


def test_registries_and_schemas_know_the_same_names() -> None:
    """What a scenario may say is what there is code for: trace formats, patterns, replacement policies."""
    formats = schema.load("trace")["properties"]["format"]["enum"]
    assert formats == [*FORMATS, *SETS] == list(MOST_PAGES)
    assert [*FORMATS, *SETS] == list(traces.FORMATS)
    kinds = schema.load("pattern")["properties"]["kind"]["enum"]
    assert kinds == [*KINDS, "mixture"]
    assert schema.load("cpu")["$defs"]["cache"]["properties"]["policy"]["enum"] == list(POLICIES)
