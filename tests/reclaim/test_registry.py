"""What a policy of page replacement consists of: where one has begun, all the rest must be there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from oracle import replacement as oracle
from sources import PACKAGE, functions
from streams import real_mix
from test_a_real_kernel import BATCH, MEASURED, misses_of_a_guest
from test_published_counts import MISSES

from vmcfg import resources
from vmcfg.reclaim import layer
from vmcfg.reclaim.replacement import POLICIES
from vmcfg.reclaim.replay import replay


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_has_a_number_an_oracle_and_a_row_in_the_docs(policy: str) -> None:
    """The number is named as the policy is; random's oracle must be told how it draws, so it stands apart."""
    assert POLICIES[policy] == getattr(layer, policy.upper())
    assert policy in oracle.POLICIES or policy == "random"
    assert f"| `{policy}` |" in resources.pages()["replacement"]


def test_the_tables_in_the_docs_are_those_that_the_tests_hold_to(tmp_path: Path) -> None:
    """Counts on three strings, row by row; and those of a real kernel, with two lists replayed and in a guest."""
    text = resources.pages()["replacement"].replace(",", "")
    for policy, counts in MISSES.items():
        assert f"| `{policy}` | {' | '.join(map(str, counts))} |" in text
    for mix, (capacity, fewest, most, others) in MEASURED.items():
        measured = f"{fewest}–{most}" if fewest < most else f"{fewest}"
        ours = replay(real_mix(mix), capacity, "two_list", batch=BATCH)
        guests = misses_of_a_guest(mix, tmp_path)
        assert f"| {mix} | {measured} | {ours} | {guests} | {' | '.join(map(str, others))} |" in text


def test_numbers_are_all_used_and_each_once() -> None:
    """0 … 10, one for each name."""
    assert [*range(len(POLICIES))] == sorted(POLICIES.values())


def test_every_file_of_a_policy_says_where_it_is_from_and_when_it_loses() -> None:
    """A file of a policy is one that a verb of `replacement` calls."""
    tree = ast.parse((PACKAGE / "reclaim" / "replacement.py").read_text("utf-8"))
    verbs = [each for each in functions(tree) if each.name in ("_enter", "_refer", "_leave", "_victim")]
    called = {ast.unparse(node.func) for verb in verbs for node in ast.walk(verb) if isinstance(node, ast.Call)}
    files = {name.partition(".")[0] for name in called if "." in name} - {"slots", "heap"}
    assert {"fifo", "lru", "clock", "sieve", "lfu", "lru2", "random", "two_list", "opt"} == files
    for name in files:
        text = ast.get_docstring(ast.parse((PACKAGE / "reclaim" / f"{name}.py").read_text("utf-8"))) or ""
        assert re.search(r"\bloses?\b|No policy misses less", text), name
        assert re.search(r"(19|20)\d\d|Linux|count lives", text), name
