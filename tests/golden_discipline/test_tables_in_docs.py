"""Tables in the docs are those of goldens: what a page shows is what a run gives."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "vmcfg" / "docs" / "modes.md"
BLOCK = re.compile(r"From\s+`(?P<name>\w+)`,\s+table\s+(?P<table>\w+):\n```\n(?P<rows>.*?)\n```", re.DOTALL)


def test_every_row_in_the_docs_begins_a_row_of_the_golden_that_it_is_taken_from() -> None:
    """Word for word; a page may leave out rows, and columns at the end."""
    blocks = list(BLOCK.finditer(PAGE.read_text("utf-8")))
    assert PAGE.read_text("utf-8").count("```") == 2 * len(blocks) >= 14
    for block in blocks:
        golden = (ROOT / "golden" / "mmu" / f"{block['name']}.txt").read_text("utf-8")
        rows = [line.split() for line in golden.split(f"table {block['table']}\n")[1].split("\n\n")[0].splitlines()]
        for shown in (line.split() for line in block["rows"].splitlines()):
            assert any(row[: len(shown)] == shown for row in rows), (block["name"], shown)
