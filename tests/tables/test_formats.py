"""The same cells in four formats, byte by byte."""

from __future__ import annotations

import csv
import io
import json

from made_results import outcome

from vmcfg.tables.formats import as_csv, as_json, as_markdown, as_table, files
from vmcfg.tables.layout import terminal

REPORT = outcome().report(["vms", "exits"])


def test_table_is_for_eyes() -> None:
    """Names on the left, numbers on the right, two spaces between, nothing at the ends of lines."""
    expected = """\
made: Made by hand
digest abababababababababababababababababababababababababababababababab

vms
vm   mode    accesses  guest_faults  time_ns  accesses_per_s  cycles_per_access
---  ------  --------  ------------  -------  --------------  -----------------
web  nested      1000             0     6400       156250000              6.400

exits
vm   reason               count  cycles
---  -------------------  -----  ------
web  ept_violation_data       3     300
web  ept_violation_table      0       0
web  vcpu_switch              0       0
"""
    assert expected == as_table(REPORT)


def test_a_table_wider_than_the_terminal_is_turned() -> None:
    """What does not fit side by side stands below each other, a column per row."""
    expected = """\
vm                       web
mode                  nested
accesses                1000
guest_faults               0
time_ns                 6400
accesses_per_s     156250000
cycles_per_access      6.400"""
    assert expected == terminal(outcome().tables["vms"], 60)
    assert terminal(outcome().tables["vms"], 79) == terminal(outcome().tables["vms"])


def test_json_has_the_documented_form() -> None:
    """`{"scenario", "digest", "tables": {name: [{column: value}]}}`, numbers as numbers."""
    whole = json.loads(as_json(REPORT))
    assert ["scenario", "digest", "tables"] == list(whole)
    assert ["vms", "exits"] == list(whole["tables"])
    assert {"vm": "web", "reason": "vcpu_switch", "count": 0, "cycles": 0} == whole["tables"]["exits"][2]
    assert '"cycles_per_access": 6.400' in as_json(REPORT)


def test_csv_holds_one_table_after_another() -> None:
    """A line `# name`, names of columns, rows; read back they are the texts of the table."""
    parts = as_csv(REPORT).split("\n\n")
    assert ["# vms", "# exits"] == [part.splitlines()[0] for part in parts]
    rows = list(csv.reader(io.StringIO(parts[1].split("\n", 1)[1])))
    assert outcome().tables["exits"].texts() == rows[1:]


def test_markdown_is_aligned() -> None:
    """GitHub's tables, numbers to the right."""
    lines = as_markdown(REPORT).splitlines()
    assert "# made: Made by hand" == lines[0]
    assert "| vm   | reason              |   count |   cycles |" in lines
    assert "| web  | ept_violation_data  |       3 |      300 |" in lines


def test_files_are_named_after_what_they_hold() -> None:
    """CSV has a file for each table, the other formats one for all."""
    assert ["vms.csv", "exits.csv"] == list(files(REPORT, "csv"))
    names = [list(files(REPORT, name)) for name in ("table", "json", "markdown")]
    assert [["made.txt"], ["made.json"], ["made.md"]] == names


def test_an_empty_table_has_its_head_in_every_format() -> None:
    """A native VM has no exits: the table is there, without rows."""
    table = outcome().tables["exits"]
    empty = type(table)(table.name, table.typed_columns, ())
    assert "vm  reason  count  cycles\n--  ------  -----  ------" == terminal(empty, 20)
