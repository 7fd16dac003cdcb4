"""Explain a word: a term of the field as vmcfg uses it, a table, or a column of a table with its unit."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from vmcfg.errors import NothingSelected
from vmcfg.terms import TERMS, lookup

NAME = "explain"
HELP = "explain a term, a table or a column"
EXAMPLES = """  vmcfg explain                            all words
  vmcfg explain nested walk
  vmcfg explain translation
  vmcfg explain walk_refs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", metavar="WORD", nargs="*", help="a term, a table or a column; default: all terms")


def execute(arguments: argparse.Namespace) -> int:
    lines = list(_explain(" ".join(arguments.words))) if arguments.words else list(_everything())
    for line in lines:
        print(line)
    return 0


def _explain(word: str) -> Iterator[str]:
    found = [*_term(word), *_table(word), *_columns(word)]
    if not found:
        raise NothingSelected(f"found no term, table or column '{word}'{_nearest(word)}")
    yield from found


def _term(word: str) -> Iterator[str]:
    entry = lookup(word)
    if entry:
        yield f"{entry[0]}: {entry[1]}"


def _table(word: str) -> Iterator[str]:
    from vmcfg.tables import EXPLAINED

    if word in EXPLAINED:
        kind = EXPLAINED[word]
        yield f"table {kind.name}: {kind.definition}"
        for column in kind.columns:
            yield f"  {column.name}{_unit(column.unit)}: {column.definition}"


def _columns(word: str) -> Iterator[str]:
    from vmcfg.tables import EXPLAINED

    for kind in EXPLAINED.values():
        for column in kind.columns:
            if column.name == word:
                yield f"column {column.name} of table {kind.name}{_unit(column.unit)}: {column.definition}"


def _everything() -> Iterator[str]:
    from vmcfg.tables import EXPLAINED

    for term, meaning in TERMS.items():
        yield f"{term}: {meaning}"
    yield ""
    yield f"Tables: {', '.join(EXPLAINED)}. `vmcfg explain TABLE` lists a table's columns."


def _unit(unit: str) -> str:
    return f" ({unit})" if unit else ""


def _nearest(word: str) -> str:
    from vmcfg.scenario.suggest import nearest
    from vmcfg.tables import EXPLAINED

    columns = {column.name for kind in EXPLAINED.values() for column in kind.columns}
    found = nearest(word, [*TERMS, *EXPLAINED, *sorted(columns)])
    return f"; did you mean '{found}'?" if found else ""
