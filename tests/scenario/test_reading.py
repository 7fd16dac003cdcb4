"""YAML is read by the rules of 1.2, with limits, and positions that hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmcfg.errors import InvalidScenario
from vmcfg.scenario import load, loads
from vmcfg.scenario.composing import MOST_VALUES, Unreadable
from vmcfg.scenario.document import Node, Source, plain
from vmcfg.scenario.reading import LARGEST_TEXT, read, split_lines

SMALLEST = (Path(__file__).parent / "good" / "smallest.yaml").read_text("utf-8")


def parse(text: str) -> Node:
    return read(Source("t.yaml", split_lines(text)), text)[0]


def faults(text: str) -> list[str]:
    """The codes of all faults of reading a text."""
    try:
        return [fault.code for fault in read(Source("t.yaml", split_lines(text)), text)[1]]
    except Unreadable as unreadable:
        return [fault.code for fault in unreadable.diagnostics]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"), ("off", "off"), ("Yes", "Yes"), ("true", True), ("False", False),
        ("~", None), ("null", None), ("''", ""), ("'null'", "null"),
        ("12:30:45", "12:30:45"), ("1_000", "1_000"), ("0b101", "0b101"), ("2026-11-23", "2026-11-23"), ("=", "="),
        ("0777", 777), ("0o777", 511), ("0x1F", 31), ("+5", 5), ("-5", -5), ("1e3", 1000.0), (".5", 0.5), ("'5'", "5"),
    ],
)  # fmt: skip
def test_bare_words_mean_what_yaml_1_2_says(written: str, value: object) -> None:
    """1.1 would read the first group as booleans, base 60, binary, dates; no scenario may depend on the parser."""
    found = plain(parse(f"a: {written}"))["a"]
    assert value == found
    assert type(value) is type(found) or isinstance(found, float)


def test_a_decimal_keeps_its_digits() -> None:
    """A float would turn 0.1000 into 0.1, and could not hold 0.3 at all."""
    assert "0.1000" == str(plain(parse("a: 0.1000"))["a"])


def test_positions_are_those_of_the_text() -> None:
    """Lines and columns of keys and values, also behind wide letters and in flow style."""
    root = parse("ä: {bb: [1, 22]}\n")
    assert (0, 9, 1) == _stretch(root.value["ä"].value["bb"].value[0])
    assert (0, 12, 2) == _stretch(root.value["ä"].value["bb"].value[1])
    assert (0, 3, 13) == _stretch(root.value["ä"])


def test_a_merge_key_gives_way_to_what_is_written() -> None:
    """The mapping's own keys win, then the first of the merged ones."""
    root = parse("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 0}\n")
    assert {"a": 0, "b": 1, "c": 2} == plain(root)["z"]


def test_windows_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    """A file from another editor is the same scenario."""
    unix, windows = tmp_path / "unix.yaml", tmp_path / "windows.yaml"
    unix.write_bytes(SMALLEST.encode())
    windows.write_bytes(b"\xef\xbb\xbf" + SMALLEST.replace("\n", "\r\n").encode())
    assert load(unix).hosts == load(windows).hosts


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("yaml-depth", "[" * 100_000),
        ("yaml-depth", "{a: " * 100_000),
        ("yaml-depth", "".join("  " * n + "a:\n" for n in range(100))),
        ("yaml-expansion", "a0: &a0 [1]\n" + "".join(f"a{n + 1}: &a{n + 1} [{f'*a{n},' * 9}]\n" for n in range(9))),
        ("yaml-expansion", "[" + "1," * (MOST_VALUES + 1) + "]"),
        ("yaml-size", "# " + "x" * LARGEST_TEXT),
        ("yaml-cycle", "a: &a {b: [*a]}"),
        ("yaml-cycle", "&a [*a]"),
        ("yaml-cycle", "a: &a {<<: *a}"),
        ("yaml-documents", "a: 1\n---\nb: 1\n"),
        ("yaml-tag", "a: !!int '5'"),
        ("yaml-tag", "a: !custom {}"),
        ("yaml-key", "{1: a}"),
        ("yaml-key", "{null: a}"),
        ("yaml-key", "{true: a}"),
        ("yaml-key", "? [a]\n: b"),
        ("yaml-duplicate", "{a: 1, 'a': 2}"),
        ("yaml-character", "a: \ud800"),
        ("yaml-character", "a: \x00"),
        ("yaml-syntax", "%YAML 3.0\n---\na: 1"),
        ("yaml-syntax", "&a &b c"),
        ("yaml-empty", ""),
        ("yaml-empty", "\n \n# x"),
    ],
)  # fmt: skip
def test_hostile_yaml_is_refused_by_name(code: str, text: str) -> None:
    """Whatever breaks or surprises a YAML library is one error with a position, found in bounded time."""
    assert [code] == faults(text)


def test_a_key_repeated_in_a_merge_is_no_duplicate() -> None:
    """To override what an anchor brings is the point of merging."""
    assert [] == faults("a: &a {b: 1}\nc: {<<: *a, b: 2}")


@pytest.mark.parametrize("name", ["missing.yaml", ".", "a\0b"])
def test_a_file_that_cannot_be_read_is_an_invalid_scenario(name: str, tmp_path: Path) -> None:
    """It is reported like any other fault, with the name as given."""
    with pytest.raises(InvalidScenario, match="found no readable file"):
        load(f"{tmp_path}/{name}")


def test_a_text_needs_no_file() -> None:
    """`loads` names it <text>."""
    with pytest.raises(InvalidScenario, match=r"^<text>:1:1: error: found an empty document"):
        loads("")


def _stretch(node: Node) -> tuple[int, int, int]:
    return node.mark.line, node.mark.column, node.mark.width
