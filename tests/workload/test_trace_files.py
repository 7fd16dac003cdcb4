"""What `validate` says about a trace file before anything reads it: one sentence, or nothing."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmcfg.scenario.trace_files import RECORD_BYTES, faults

SHIPPED = Path(__file__).parents[2] / "scenarios" / "data"


@pytest.fixture
def file(tmp_path):
    """Return a function that writes a file of the given name and contents."""

    def write(name: str, contents: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(contents)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "fmt"),
    [
        ("sort.u32.zst", "records"),
        ("sort.vpn.gz", "vpn"),
        ("sqlite.u32.zst", "records"),
        ("sqlite.vpn.gz", "vpn"),
        ("ls.lackey.xz", "lackey"),
    ],
)
def test_the_shipped_traces_are_fine(name, fmt):
    """They are regular, readable and what their names say."""
    assert faults(SHIPPED / name, fmt) is None


def test_compression_goes_by_content_when_the_name_says_nothing(file):
    """Only a name that claims a compression can be wrong about it."""
    assert faults(file("t", gzip.compress(b"12345")), "records") is None
    assert faults(file("t.lackey", gzip.compress(b"12345")), "lackey") is None


def test_a_missing_file_a_directory_a_dangling_link_and_a_pipe_are_told_apart(tmp_path):
    """Four ways not to be a file."""
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    assert "found no such file, expected a file that can be read" == faults(tmp_path / "gone", "u64")
    assert "found a directory, expected a regular file" == faults(tmp_path, "u64")
    assert "found a pipe, expected a regular file" == faults(tmp_path / "pipe", "u64")
    assert "found a device or socket, expected a regular file" == faults(Path("/dev/null"), "u64")
    expected = "found a link to a file that does not exist, expected a file that can be read"
    assert expected == faults(tmp_path / "link", "u64")


def test_names_that_the_system_refuses_are_a_sentence_too(tmp_path):
    """Too long, through a file, a loop of links, a null byte: an answer, never an exception."""
    (tmp_path / "file").write_bytes(b"1234")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("x" * 5000, "file/below", "loop", "null\0byte"):
        assert faults(tmp_path / name, "records").endswith("expected a file that can be read")


def test_a_file_that_may_not_be_read_is_said_to_be_so(file, monkeypatch):
    """Permission is refused by hand, because the tests may run as root."""

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    path = file("t", b"1234")
    monkeypatch.setattr(Path, "open", refuse)
    assert "found a file that may not be read, expected a file that can be read" == faults(path, "records")


@pytest.mark.parametrize("fmt", sorted(RECORD_BYTES))
def test_a_plain_binary_file_is_a_whole_number_of_records(file, fmt):
    """One byte too many is seen by the file's length alone."""
    length = RECORD_BYTES[fmt]
    assert faults(file("t", bytes(2 * length)), fmt) is None
    expected = f"found {2 * length + 1} bytes, expected a multiple of {length}, the length of a record"
    assert expected == faults(file("t", bytes(2 * length + 1)), fmt)


@pytest.mark.parametrize("magic", [b"PK\3\4", b"BZh91AY&SY", b"\x04\x22\x4d\x18"])
def test_archives_and_other_compressions_are_refused_by_name(file, magic):
    """They are recognised, so that nobody reads their bytes as records."""
    assert faults(file("t", magic + bytes(20)), "records").endswith("expected plain, gz, xz or zst")


def test_a_name_that_claims_another_compression_is_wrong(file):
    """A gz file called .xz, and an empty one."""
    expected = "found gz contents (first bytes 1f 8b 08 00 00 00), expected xz as the name says"
    assert expected == faults(file("t.xz", gzip.compress(b"1234", mtime=0)), "records")
    assert "found an empty file, expected at least one record" == faults(file("t.xz", b""), "records")


def test_checking_imports_no_numpy():
    """`validate` must stay fast."""
    code = "import sys, vmcfg.scenario.trace_files as t; print('numpy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "False" == found.stdout.strip()
